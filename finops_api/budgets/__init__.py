"""Budgets: what may be spent in a month, how much of it is, and what was told of that."""
