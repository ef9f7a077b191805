"""Sessions that connectors of a protocol share: one connection each, and how it is kept."""
