"""MJPEG over HTTP (multipart/x-mixed-replace), read without FFmpeg: no probing, and a JPEG can be passed over.

The parts are separated as RFC 2046 says; a part's Content-Length is used where the server sends one.
"""

import urllib.request
from email.message import Message
from typing import BinaryIO, Dict, List, Optional, cast

MAXIMUM_BYTES = 32 * 1024 * 1024


class NotMjpeg(Exception):
    """The server answered with something else than a multipart stream."""


class MjpegStream:
    """The JPEGs of one stream, in order."""

    def __init__(self, uri: str, timeout_s: float) -> None:
        """Connects. Raises OSError (URLError, time-outs), NotMjpeg."""
        # The classroom's cameras are in the local network, whatever proxy the login is set up with.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        response = opener.open(uri, timeout=timeout_s)
        self._stream = cast(BinaryIO, response)
        boundary = _boundary(response.headers)
        if boundary is None:
            response.close()
            raise NotMjpeg(uri)
        self._boundary = boundary
        self._pending: Optional[bytes] = None

    def read(self) -> bytes:
        """The next JPEG. Raises OSError when the stream ends, when nothing comes in time, and when it is no MJPEG."""
        headers = self._headers()
        length = headers.get(b"content-length")
        if length is not None and length.isdigit():
            return self._exactly(int(length))
        return self._until_boundary()

    def close(self) -> None:
        self._stream.close()

    def _headers(self) -> Dict[bytes, bytes]:
        """Of the next part; what stands before its boundary is skipped."""
        while not self._ends_part(self._line()):
            pass
        headers = {}
        line = self._line()
        while line.strip():
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
            line = self._line()
        return headers

    def _ends_part(self, line: bytes) -> bool:
        """Some servers count the two dashes before the boundary as part of it, some do not."""
        return line.startswith(b"--") and line.strip().lstrip(b"-") == self._boundary

    def _line(self) -> bytes:
        pending, self._pending = self._pending, None
        line = pending or self._stream.readline(MAXIMUM_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionError("the stream ended")
        return line

    def _exactly(self, length: int) -> bytes:
        if length > MAXIMUM_BYTES:
            raise ConnectionError("not an MJPEG stream")
        data = self._stream.read(length)
        if len(data) < length:
            raise ConnectionError("the stream ended")
        return data

    def _until_boundary(self) -> bytes:
        """A part of unknown length; the boundary that ends it also begins the next one."""
        lines: List[bytes] = []
        size = 0
        while True:
            line = self._line()
            if self._ends_part(line):
                self._pending = line
                return b"".join(lines)
            lines.append(line)
            size += len(line)
            if size > MAXIMUM_BYTES:
                raise ConnectionError("not an MJPEG stream")


def _boundary(headers: Message) -> Optional[bytes]:
    if headers.get_content_maintype() != "multipart":
        return None
    boundary = headers.get_param("boundary")
    if not boundary:
        return None
    return str(boundary).encode("ascii", "replace").lstrip(b"-")
