"""Views of the dashboard that somebody gave a name, to open again or to share."""
