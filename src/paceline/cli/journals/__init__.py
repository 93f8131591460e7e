"""The commands on a journal: status, results, failed, resume."""
