"""Kafka clients: settings they share, topics, consumers, producers, and which executions count."""
