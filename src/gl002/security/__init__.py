"""What every connection and every write passes: addresses, trust, secrets, the audit file."""
