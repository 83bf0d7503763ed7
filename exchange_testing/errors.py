"""Errors of containers. Each message contains its remedy.

ContainersError
├── NoEngineError       no Docker engine answers
├── ImageMissingError   an image is not here and cannot be pulled
└── NotReadyError       a container ended, or was not ready in time; with its last log lines
"""


class ContainersError(Exception):
    """An exchange in containers is not possible; the message is for the person at the tests."""


class NoEngineError(ContainersError):
    """No Docker engine answers."""


class ImageMissingError(ContainersError):
    """An image is neither on this machine nor to be had from a registry."""


class NotReadyError(ContainersError):
    """A container ended, or did not come up in time."""
