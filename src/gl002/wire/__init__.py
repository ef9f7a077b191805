"""Bytes and text to values and back, pure: one codec per protocol, no connection in sight."""
