"""The older name, which says so."""

from jetson_inference import *  # noqa: F403

print("warning:  importing jetson.inference is deprecated.  please 'import jetson_inference' instead.")
