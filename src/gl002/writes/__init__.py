"""The one door to the plant for everything that is not one's own code calling a connector."""
