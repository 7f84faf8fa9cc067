"""How large a JPEG will be, known before it is decoded: 100 kB of file can become 12 GB of picture."""

_SOI, _SOS, _EOI = 0xD8, 0xDA, 0xD9
# Baseline and extended sequential: what cameras and our programs write. A progressive one may ask for any amount of work.
_SEQUENTIAL = (0xC0, 0xC1)
_OTHER_FRAMES = (0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_ALONE = (0x01, *range(0xD0, 0xD8))


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a sequential JPEG; None for anything else. Looks for markers as libjpeg does."""
    if data[:2] != b"\xff\xd8":
        return None
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            return None
        while data[position:position + 1] == b"\xff":
            position += 1
        marker, position = data[position:position + 1], position + 1
        if not marker:
            return None
        kind = marker[0]
        if kind == 0 or kind in _ALONE:
            continue
        if kind in (_SOI, _SOS, _EOI, *_OTHER_FRAMES):
            return None
        if kind in _SEQUENTIAL:
            # Length, precision, height, width.
            height, width = data[position + 3:position + 5], data[position + 5:position + 7]
            return (int.from_bytes(width, "big"), int.from_bytes(height, "big")) if len(width) == 2 else None
        position += max(2, int.from_bytes(data[position:position + 2], "big"))
