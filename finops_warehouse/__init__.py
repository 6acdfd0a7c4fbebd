"""What is stored: settings, tables and their migrations, the ledger, the embedded Postgres, the semantic layer."""
