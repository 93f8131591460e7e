"""Benchmarks: what paceline costs, measured beside its peers in the same run: `python -m benchmarks`."""
