"""Runs from file to file as a library: plan, run, resume, export, status, failed."""
