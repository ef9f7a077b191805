"""Sessions with Modbus devices: the line, the polling of it, and its settings."""
