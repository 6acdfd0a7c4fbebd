"""What moved after it was served: before, after, why, and which export days brought it."""
