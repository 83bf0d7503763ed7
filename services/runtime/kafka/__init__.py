"""Kafka clients: their shared settings, topics, consumers, producers, valid executions."""
