"""A Wonderware Historian behind a SQL Server, ours: see `peers.wonderware`."""
