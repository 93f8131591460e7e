"""The programs that are compared. Each runs in a process of its own, and one of them without paceline installed."""
