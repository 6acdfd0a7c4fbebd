"""One module for each kind of table: raw charges, tables by usage day, tables by invoice month."""
