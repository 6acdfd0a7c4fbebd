"""How far the rows conform to FOCUS."""
