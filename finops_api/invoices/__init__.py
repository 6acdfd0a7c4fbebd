"""Invoice months: what each adds up to, of which parts, and what is left of the invoice Google sent."""
