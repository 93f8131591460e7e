"""The event loop: its clock, foreign code that is awaited, and long work in steps."""
