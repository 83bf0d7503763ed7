"""Single-question experiments: cost of durability, service in an outage, cost of access control."""
