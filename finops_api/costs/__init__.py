"""Costs: the question every chart, table and export of the product asks."""
