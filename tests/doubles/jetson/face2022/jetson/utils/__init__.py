"""The older name, which says so."""

from jetson_utils import *  # noqa: F403

print("warning:  importing jetson.utils is deprecated.  please 'import jetson_utils' instead.")
