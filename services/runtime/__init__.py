"""Mechanisms shared by all processes: settings, Kafka and PostgreSQL clients, lifecycle, health.

Independent of orders, trades and symbols, except for the rule of which execution records count
(`kafka.execution_filter`).
"""
