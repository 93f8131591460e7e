"""Lanes: the jobs that share a quota, which call starts next, time limits, what is spent, and counts."""
