"""Google Cloud Pub/Sub: session, settings, and subscriptions as sources."""
