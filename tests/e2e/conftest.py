"""The wheel is built once for all files that want it."""

from wheels import installed, wheel

__all__ = ["installed", "wheel"]
