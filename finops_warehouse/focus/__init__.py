"""FOCUS: the columns of the specification, its requirement model, and how far our rows conform to it."""
