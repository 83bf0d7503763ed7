"""Tests of the live feeds without sockets."""
