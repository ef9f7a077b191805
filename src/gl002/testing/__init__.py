"""For everyone who writes a connector: contract suites, a fault link, and what a rig must offer."""
