"""Exports: whole answers as files, however many rows they have."""
