"""What databases of the PostgreSQL family share: connections, errors, names, rows, narrow table."""
