"""A made-up company's Google Cloud bill, in the exact shape of the detailed billing export.

It is what the product shows before it is given a real export, and what its tests are measured against. Northwind
Outfitters pays one account in dollars (nineteen projects, some fifteen thousand a day) and one in euros (six). All that
makes real exports hard is in it: usage by the hour in UTC and days in California, rows that arrive late, corrections of
older days, credits of every type and both commitment models, tax, adjustments, rounding, marketplace
rows, charges without a project, labels as people really write them, charges that look like duplicates and are not,
anomalies, and events that only look like anomalies.

Beside the export stands the truth, which the pipeline never reads: what each invoice comes to, added up in integers
as the rows were made, and which events were anomalies.

Service names, SKU descriptions and the shape of the rows are Google's. Prices are approximate; SKU ids are synthetic.
Read the modules in the order catalog, estate, demand, fleet, usage, lateness, invoices, rows, export.
"""

from finops_pipeline.sample_export.export import SampleExport, write_sample_export

__all__ = ["SampleExport", "write_sample_export"]
