"""Measurements of the exchange and its parts. Each subpackage or module is a program of its own."""
