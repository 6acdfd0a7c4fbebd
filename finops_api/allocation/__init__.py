"""Who carries the costs: how much of them has an owner, and what each owner carries once shared costs are split."""
