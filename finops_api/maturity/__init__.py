"""How final the cost of a day is: what was learned of it, and what unfinished days will come to."""
