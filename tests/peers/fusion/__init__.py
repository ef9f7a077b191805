"""Fusion Maintenance for tests: two resources of its REST services."""
