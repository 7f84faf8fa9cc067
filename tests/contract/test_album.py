"""Parts of the Nano's pictures by themselves: lines in pieces, what waits for the program, frames that are held."""

import socket
from typing import Any

import nano_programs  # noqa: F401
import pytest
from viewing import keep, wish

from jetson_nano import album, viewer
from shared import pictures, relay

LONG = b"x" * (pictures.LINE_BYTES + 1)


@pytest.mark.parametrize(("pieces", "lines"), [
    ([b"\n\n"], [b"", b""]), ([b"a", b"b\n", b"c\nd"], [b"ab", b"c"]), ([b""], []),
    ([LONG, LONG, b"end\n", b"a\n"], [b"a"]), ([LONG + b"\na\n"], [b"a"]), ([LONG, b"\n\n"], [b""]),
    ([b"x" * pictures.LINE_BYTES, b"\n"], [b"x" * pictures.LINE_BYTES])])
def test_whole_lines_of_pieces(pieces: list[bytes], lines: list[bytes]) -> None:
    reader = pictures.Lines()
    assert [line for piece in pieces for line in reader.feed(piece)] == lines


def test_what_was_asked_before_is_bounded_and_the_newest_wish_comes_first() -> None:
    asked = relay.Asked()
    asked.hear([b""] * 50 + [wish(width).strip() for width in (200, 300)] + [keep(number).strip() for number in range(50)])
    said = asked.said().split(b"\n")
    assert said[0] + b"\n" == wish(300)
    assert said[1:9] == [keep(number).strip() for number in range(8)] and said[9:] == [b""] * 9
    assert asked.said() == asked.said()


def test_the_oldest_frame_gives_its_memory_unless_somebody_reads_it() -> None:
    held = album.Album(3)

    def add(frame: int) -> Any:
        spare = held.make_room()
        held.add(album.Page(frame, 0.0, f"memory {frame}"))
        return spare

    assert [add(frame) for frame in range(5)] == [None, None, None, "memory 0", "memory 1"]
    assert held.find(1) is None and held.find(2).copy == "memory 2"  # type: ignore[union-attr]
    assert add(5) is None, "it may still be being encoded"
    assert add(6) == "memory 3"
    held.clear()
    assert held.find(6) is None and add(7) is None


def watching(fps: float) -> Any:
    return viewer.Viewer(socket.socket(), viewer.Wish(640, 75, fps))


@pytest.mark.parametrize(("fps", "camera", "least"), [
    (30, 30.0, 29), (30, 29.7, 28), (15, 30.0, 14.5), (25, 30.0, 23), (4, 30.0, 3.9)])
def test_as_many_pictures_a_second_as_wished_for(fps: float, camera: float, least: float) -> None:
    """A camera whose frames come some milliseconds too soon or too late."""
    one, given = watching(fps), []
    for number in range(int(20 * camera)):
        now = 100 + number / camera + 0.004 * (number % 3)
        one.hear(b"\n")
        if one.ready and one.due <= now:
            one.given(now)
            given.append(now)
    one.connection.close()
    assert least * 20 <= len(given) <= fps * 20 + 1
    assert all(later - earlier > 0.45 / fps for earlier, later in zip(given, given[1:], strict=False))


def test_room_is_counted_up_to_a_bound() -> None:
    one = watching(30)
    one.hear(b"\n" * 100)
    for number in range(8):
        assert one.ready
        one.given(1000.0 + number)
    assert not one.ready
    one.connection.close()
