"""Contenders: the programs that are compared. Each runs in a process of its own, one of them without paceline installed."""
