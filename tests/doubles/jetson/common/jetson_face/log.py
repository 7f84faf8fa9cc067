"""The libraries' log: C's standard output, with colours [L1]; before April 2023 buffered where it is no terminal [L2]."""

import ctypes

from jetson_face import face

TRT = "[TRT]    "
GST = "[gstreamer] "
RED, GREEN, YELLOW, NONE = "\033[0;31m", "\033[0;32m", "\033[0;33m", "\033[0m"
_c = ctypes.CDLL(None)
_stdout = ctypes.c_void_p.in_dll(_c, "stdout")
if face.current.unbuffered:
    _c.setbuf(_stdout, None)


def write(text):
    _c.fputs(text.encode("utf-8", "replace"), _stdout)


def error(text):
    write(RED + text + "\n" + NONE)


def warning(text):
    write(YELLOW + text + "\n" + NONE)


def success(text):
    write(GREEN + text + "\n" + NONE)


def info(text):
    write(text + "\n")
