"""Calls: from the prepared strategy to what follows from the end of a call."""
