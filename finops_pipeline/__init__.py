"""What writes: the Dagster asset graph that turns a billing export into cost tables."""
