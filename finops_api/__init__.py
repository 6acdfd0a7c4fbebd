"""What reads: a small web application over the cost tables. It never writes, and never imports the pipeline."""
