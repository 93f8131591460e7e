"""Queues: who waits in a lane, whose turn it is, and whether waiting makes sense."""
