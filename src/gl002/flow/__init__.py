"""From sources to sinks: steps, the durable store, delivery. Knows connectors only by contract."""
