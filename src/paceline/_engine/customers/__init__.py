"""Customers of a pool: batches, and single calls."""
