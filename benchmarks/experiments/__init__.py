"""One question each: the price of durability, service in an outage, the price of access control."""
