"""Sends a schedule on time over HTTP/1.1 and records every answer."""
