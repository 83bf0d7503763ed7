"""What any process here stands on: settings, Kafka clients, the validity rule, lifecycle, health.

Knows no order, trade or symbol, except which execution records count (`execution_filter`).
"""
