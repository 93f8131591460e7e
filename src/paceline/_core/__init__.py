"""Core: everything that decides. Pure: no clock, randomness, I/O or async; times and random numbers are arguments."""
