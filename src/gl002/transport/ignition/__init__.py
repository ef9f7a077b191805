"""Ignition: its tag history in SQL beside its own OPC UA server."""
