"""The connectors, in the guide's tree: one file per system."""
