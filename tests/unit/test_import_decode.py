"""Pictures made elsewhere: each comes out as a person sees it, or is refused for a reason that is true."""

import functools
import io
import struct
import sys
import zlib
from datetime import datetime, timezone
from typing import Any

import elsewhere
import numpy
import pytest
from elsewhere import apart, encoded, jpeg, picture, scene
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from ai_nano.cameras import exif, import_decode, jpeg_parts
from ai_nano.cameras.images import ImageFiles
from ai_nano.core.importing.pictures import Brought, Glimpse, LeftOut

QUICK = settings(max_examples=150, deadline=None)
IMAGES = ImageFiles()
# What JPEG at quality 92 loses of the noisy test scene.
CLOSE = 4.0


def brought(data: bytes, name: str = "x") -> Brought:
    came = IMAGES.take_in(data, name)
    assert (came.height, came.width) == elsewhere.shown(came.jpeg).shape[:2]
    return came


def reason(data: bytes, name: str = "x") -> str:
    with pytest.raises(LeftOut) as caught:
        IMAGES.take_in(data, name)
    assert not caught.value.text.startswith("import."), "a reason without words"
    return caught.value.reason


def look(data: bytes, name: str = "x") -> Glimpse:
    return IMAGES.glimpse(data[:70_000], name, lambda: data)


# ---- JPEG ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}, {"optimize": True},
                                     {"restart_marker_blocks": 5}])
def test_an_ordinary_jpeg_keeps_its_coded_picture(options: dict[str, Any]) -> None:
    data = jpeg(exif=elsewhere.exif(), comment=b"secret", **options)
    came = brought(data)
    plain = jpeg(**options)
    assert came.jpeg == plain and came.changes == ()
    assert not any(word in came.jpeg for word in (b"Exif", b"Maker", b"secret"))


def test_a_grey_jpeg_stays() -> None:
    data = encoded(picture().convert("L"), "JPEG")
    assert brought(data).jpeg == data


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 9), (8, 500)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_flat_and_tiny_jpegs_are_whole(size: tuple[int, int], grey: int) -> None:
    """Their coded picture is a few bytes, or the very grey with which a decoder fills what is missing."""
    data = encoded(Image.new("RGB", size, (grey, grey, grey)), "JPEG")
    assert brought(data).jpeg == data


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_comes_out_upright(orientation: int) -> None:
    upright = scene()
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
              6: upright.swapaxes(0, 1)[::-1], 7: upright.swapaxes(0, 1)[::-1, ::-1], 8: upright.swapaxes(0, 1)[:, ::-1]}
    image = Image.fromarray(numpy.ascontiguousarray(stored[orientation]))
    data = encoded(image, "JPEG", quality=95, subsampling=0, exif=elsewhere.exif(orientation))
    came = brought(data)
    assert apart(came.jpeg, upright) < CLOSE
    assert b"Exif" not in came.jpeg


@pytest.mark.parametrize("inverted", [True, False])
def test_the_colours_of_cmyk(inverted: bool) -> None:
    assert apart(brought(elsewhere.cmyk_jpeg(inverted)).jpeg, scene()) < CLOSE


def test_a_large_photograph_is_made_smaller() -> None:
    of_40_megapixels = picture(912, 684).resize((7296, 5472), Image.Resampling.BILINEAR)
    came = brought(encoded(of_40_megapixels, "JPEG", quality=80))
    assert (came.width, came.height, came.changes) == (1920, 1440, ("scaled",))
    assert apart(came.jpeg, numpy.asarray(of_40_megapixels.resize((1920, 1440), Image.Resampling.BOX))) < CLOSE


def test_a_large_photograph_is_turned_too() -> None:
    large = picture(300, 200).resize((3000, 2000))
    came = brought(encoded(large, "JPEG", exif=elsewhere.exif(6)))
    assert (came.width, came.height) == (1280, 1920)
    # Stored, its red corner is top left; a quarter clockwise, it is top right.
    assert elsewhere.shown(came.jpeg)[100, -100, 0] > 200 > 60 > elsewhere.shown(came.jpeg)[100, -100, 1]


def test_what_follows_a_jpeg_stays_behind() -> None:
    plain = jpeg()
    assert brought(plain + b"a film of three seconds" * 1000).jpeg == plain


def test_a_marker_behind_fill_bytes() -> None:
    plain = jpeg()
    assert brought(plain[:-2] + b"\xff\xff\xff\xff\xd9").jpeg == plain


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_jpeg_that_was_cut(share: float) -> None:
    data = jpeg(seed=1)
    assert reason(data[:int(share * len(data))]) == "cut"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_jpeg_that_was_cut_and_given_an_end(share: float) -> None:
    """Decoders fill the rest with grey, without a word."""
    data = jpeg(seed=2)
    assert reason(data[:int(share * len(data))].rstrip(b"\xff") + b"\xff\xd9") in ("cut", "damaged")


@pytest.mark.parametrize("missing", [200, 2000])
@pytest.mark.parametrize("extra", [True, False])
def test_a_jpeg_with_bytes_too_many_or_too_few(missing: int, extra: bool) -> None:
    data = jpeg(seed=3, quality=75)
    middle = len(data) // 2
    if extra:
        broken = data[:middle] + data[middle - missing:middle] + data[middle:]
    else:
        broken = data[:middle] + data[middle + missing:]
    assert reason(broken) in ("cut", "damaged")


def test_most_jpegs_with_a_hole_in_them_are_found() -> None:
    """A decoder may by chance be in step again, at the right place, behind the hole: that nobody can know. It often is where
    a picture of little compression is all noise."""
    found = 0
    for number in range(40):
        data = bytearray(jpeg(640, 480, seed=number % 4, quality=75))
        at = len(data) // 3 + 17 * number
        data[at:at + 64] = bytes(64) if number % 2 else numpy.random.default_rng(number).bytes(64)
        try:
            IMAGES.take_in(bytes(data), "x")
        except LeftOut:
            found += 1
    assert found >= 36


# ---- other kinds -----------------------------------------------------------------------------------------------------


def test_grey_of_16_bits() -> None:
    data, grey = elsewhere.deep_png()
    assert apart(brought(data).jpeg, numpy.repeat(grey[:, :, None], 3, axis=2)) < CLOSE


def test_colour_of_16_bits() -> None:
    wanted = scene(64, 48)
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).astype(">u2").tobytes() for row in wanted)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", 64, 48, 16, 2, 0, 0, 0)) \
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert apart(brought(png).jpeg, wanted) < 2 * CLOSE


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_is_white(kind: str) -> None:
    clear = picture().convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 160, 240))
    came = brought(encoded(clear, kind, **({"lossless": True} if kind == "WEBP" else {})))
    wanted = scene()
    wanted[:, :160] = 255
    assert came.changes == ("on_white",) and apart(came.jpeg, wanted) < CLOSE


def test_alpha_that_hides_nothing_is_no_transparency() -> None:
    assert brought(encoded(picture().convert("RGBA"), "PNG")).changes == ()


def test_palettes() -> None:
    image = picture().quantize(64)
    assert apart(brought(encoded(image, "PNG")).jpeg, numpy.asarray(image.convert("RGB"))) < 2 * CLOSE
    image.info["transparency"] = 0
    came = brought(encoded(image, "PNG", transparency=0))
    assert came.changes == ("on_white",)


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_other_modes(mode: str) -> None:
    image = picture().convert(mode)
    close = 40 if mode == "1" else CLOSE
    assert apart(brought(encoded(image, "PNG")).jpeg, numpy.asarray(image.convert("L").convert("RGB"))) < close


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture(kind: str) -> None:
    first, second = picture(seed=0), Image.new("RGB", (320, 240), "black")
    came = brought(encoded(first, kind, save_all=True, append_images=[second]))
    assert came.changes == ("first_only",)
    assert apart(came.jpeg, scene()) < (30 if kind == "GIF" else 8)


def test_one_picture_is_no_animation() -> None:
    assert brought(encoded(picture(), "GIF")).changes == ()


@pytest.mark.parametrize(("kind", "options"), [
    ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("PNG", {})])
def test_other_files_of_eight_bits(kind: str, options: dict[str, Any]) -> None:
    assert apart(brought(encoded(picture(), kind, **options)).jpeg, scene()) < CLOSE


def test_a_tiff_is_upright_too() -> None:
    data = encoded(Image.fromarray(numpy.ascontiguousarray(scene()[::-1, ::-1])), "TIFF", exif=elsewhere.exif(3, place=False))
    assert apart(brought(data).jpeg, scene()) < CLOSE


def test_numbers_that_are_no_colours() -> None:
    deep = Image.fromarray(numpy.linspace(0, 1, 400, dtype=numpy.float32).reshape(20, 20))
    assert reason(encoded(deep, "TIFF")) == "depth"


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    stored = Image.fromarray(numpy.ascontiguousarray(scene(640, 480)[::-1, ::-1]))
    said = elsewhere.exif(3, offset="+02:00")
    heif.from_pillow(stored).save(out, quality=95, exif=said.tobytes())
    came = brought(out.getvalue(), "IMG_0001.HEIC")
    assert (came.width, came.height) == (640, 480) and b"Exif" not in came.jpeg
    seen = look(out.getvalue())
    assert seen.size == (640, 480)
    assert seen.taken == datetime(2026, 3, 31, 10, 0, 5, tzinfo=timezone.utc).timestamp()
    assert apart(came.jpeg, scene(640, 480)) < 8


def test_heic_without_its_decoder_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "OPEN", {name: one for name, one in Image.OPEN.items() if name != "HEIF"})
    with pytest.raises(LeftOut) as caught:
        IMAGES.take_in(b"\0\0\0\x18ftypheic" + bytes(100), "x.heic")
    assert caught.value.reason == "heic" and "pillow-heif" in caught.value.text


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "name", "wanted"), [
    (b"", "x.jpg", "empty"), (b"hello", "x.jpg", "none"), (b"%PDF-1.7 ...", "x.jpg", "other"),
    (b"\0\0\0\x20ftypisom\0\0\0\0", "x.mp4", "video"), (b"\0\0\0\x20ftypqt  \0\0\0\0", "x.mov", "video"),
    (b"RIFF\0\0\0\0AVI LIST", "x.avi", "video"), (b"PK\3\4 and so on", "x.jpg", "archive"),
    (b"II*\0\x10\0\0\0CR\2\0", "x.cr2", "other"), (b"II*\0\x08\0\0\0", "x.nef", "other"),
    (b"<?xml version='1.0'?>\n<svg width='3'>", "x.svg", "other"), (b"8BPS\0\1", "x.psd", "other"),
    (b"\x89PNG\r\n\x1a\n", "x.png", "damaged"), (b"GIF89a", "x.gif", "damaged"), (b"\xff\xd8\xff", "x.jpg", "cut"),
    (b"BM" + bytes(60), "x.bmp", "damaged"), (b"RIFF\4\0\0\0WEBPVP8 " + bytes(40), "x.webp", "damaged"),
])
def test_refused_by_name(data: bytes, name: str, wanted: str) -> None:
    assert reason(data, name) == wanted


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_files_that_were_cut(kind: str) -> None:
    data = encoded(picture(), kind)
    assert reason(data[:len(data) // 2]) in ("cut", "damaged")


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">L", 13) + checked + struct.pack(">L", zlib.crc32(checked)) + bytes(50)


def jpeg_of(width: int, height: int) -> bytes:
    data = jpeg()
    at = data.index(b"\xff\xc0")
    return data[:at + 5] + struct.pack(">HH", height, width) + data[at + 9:]


@pytest.mark.parametrize("data", [
    png_of(20_000, 10_000), jpeg_of(20_000, 10_000), b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + bytes(40),
    b"RIFF" + struct.pack("<L", 50) + b"WEBPVP8X" + struct.pack("<LL", 10, 0) + b"\xff\xff\x3f\xff\xff\x3f" + bytes(30)])
def test_two_hundred_megapixels_are_refused_before_they_are_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a decoder was asked")

    monkeypatch.setattr(import_decode, "_open_stream", never)
    assert reason(data) == "huge"


# ---- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_the_size_is_known_from_the_first_bytes(kind: str) -> None:
    assert look(encoded(picture(300, 200), kind)).size == (300, 200)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exact": True}])
def test_the_size_of_webp(options: dict[str, Any]) -> None:
    for image in (picture(300, 200), picture(300, 200).convert("RGBA")):
        assert look(encoded(image, "WEBP", **options)).size == (300, 200)


def test_when_a_photograph_was_taken() -> None:
    there = look(jpeg(exif=elsewhere.exif(offset="-05:00")))
    assert there.taken == datetime(2026, 3, 31, 17, 0, 5, tzinfo=timezone.utc).timestamp()
    here = look(jpeg(exif=elsewhere.exif()))
    assert here.taken == datetime(2026, 3, 31, 12, 0, 5).timestamp()


@pytest.mark.parametrize("taken", [None, "", "yesterday", "0000:00:00 00:00:00", "1970:01:01 00:00:00", "2026:13:45 99:00:00"])
def test_times_that_are_none(taken: str | None) -> None:
    assert look(jpeg(exif=elsewhere.exif(taken=taken))).taken is None


def test_big_endian_exif_and_parts_of_a_second() -> None:
    entry = struct.pack(">HHLL", 0x8769, 4, 1, 26)
    texts = [(0x9003, b"2026:03:31 12:00:05\0"), (0x9011, b"+00:00\0"), (0x9291, b"250\0")]
    place = 26 + 2 + 12 * len(texts) + 4
    entries, tail = b"", b""
    for tag, text in texts:
        if len(text) <= 4:
            entries += struct.pack(">HHL", tag, 2, len(text)) + text.ljust(4, b"\0")
        else:
            entries += struct.pack(">HHLL", tag, 2, len(text), place + len(tail))
            tail += text
    data = b"MM\0*" + struct.pack(">L", 8) + struct.pack(">H", 1) + entry + bytes(4) \
        + struct.pack(">H", len(texts)) + entries + bytes(4) + tail
    assert exif.read(data) == exif.Exif(1, datetime(2026, 3, 31, 12, 0, 5, 250_000, tzinfo=timezone.utc).timestamp())


# ---- anything --------------------------------------------------------------------------------------------------------

_HEADS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\0\0\0\0WEBPVP8 ",
          b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif"]
_SEEDS = [functools.partial(jpeg, 80, 60), functools.partial(jpeg, 80, 60, progressive=True, exif=elsewhere.exif()),
          *(functools.partial(encoded, picture(80, 60), kind) for kind in ("PNG", "GIF", "TIFF", "WEBP", "BMP"))]


def accepted(data: bytes) -> None:
    """Taken in as a picture that OpenCV reads, or refused."""
    for work in (lambda: IMAGES.glimpse(data[:70_000], "x.jpg", lambda: data), lambda: brought(data, "x.jpg")):
        try:
            work()
        except LeftOut as left_out:
            assert left_out.text


@given(head=st.sampled_from(_HEADS), rest=st.binary(max_size=300))
@QUICK
def test_any_bytes_are_taken_in_or_refused(head: bytes, rest: bytes) -> None:
    accepted(head + rest)


@given(data=st.data(), which=st.integers(0, len(_SEEDS) - 1))
@QUICK
def test_any_damage_is_taken_in_or_refused(data: st.DataObject, which: int) -> None:
    whole = bytearray(_SEEDS[which]())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(whole) - 1, 600)))
        whole[at:at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    accepted(bytes(whole))


@given(data=st.binary(max_size=200))
@example(data=b"II*\0\x08\0\0\0\xff\xff")
@QUICK
def test_any_exif(data: bytes) -> None:
    for head in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        exif.read(head + data)


@given(data=st.binary(max_size=200))
@QUICK
def test_any_jpeg_head(data: bytes) -> None:
    jpeg_parts.glimpse(b"\xff\xd8" + data)
