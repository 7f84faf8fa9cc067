"""Cameras, chosen by URI (contract page), and image files: the only package of the laptop's program that imports OpenCV."""

from ai_nano.cameras.opencv import load_cv2
from ai_nano.cameras.uri import open_camera

__all__ = ["load_cv2", "open_camera"]
