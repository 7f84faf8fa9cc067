"""The wheel is built once for all files that one process of the tests runs."""

from wheels import installed, wheel

__all__ = ["installed", "wheel"]
