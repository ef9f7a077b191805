"""Microsoft SQL Server over TDS: one connection, one thread, TLS by our own rules."""
