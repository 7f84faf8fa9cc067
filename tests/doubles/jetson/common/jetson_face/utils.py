"""What `from jetson_utils import *` gives."""

from jetson_face.cuda import *  # noqa: F403
from jetson_face.video import videoSource  # noqa: F401
