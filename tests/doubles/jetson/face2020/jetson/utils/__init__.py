"""jetson.utils of 2020."""

from jetson_face import face

face.choose("2020")

from jetson_face.utils import *  # noqa: E402,F403

VERSION = "1.0.0"
