"""Measurements of the exchange and its parts. Each subpackage or module is a separate program."""
