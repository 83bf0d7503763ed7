"""A whole exchange on this machine: its servers and services, supervised, or its containers.

Reads and writes the data directory; starts every process. Pure: banner, child_environment,
restart_policy.
"""
