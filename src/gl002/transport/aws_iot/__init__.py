"""AWS IoT Core: how a connection is configured."""
