"""The embedded classroom: loopback SSH servers, the stage, and an ordinary config that names them.

Nothing outside this package knows of it: the same `build_lab(config)` serves a real room.
"""
