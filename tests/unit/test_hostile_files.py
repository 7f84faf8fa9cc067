"""Bundles, reports and pictures from another machine: nothing in them becomes a path, a tag, or gigabytes."""

import copy
import json
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report import FIGURES, read

from ai_nano.cameras import jpeg
from ai_nano.cameras.images import ImageFiles
from ai_nano.core import answers, bundle, report
from ai_nano.core.errors import WorkFailed
from ai_nano.core.project.workspace import Workspace
from ai_nano.steps import export

QUICK = settings(max_examples=50, deadline=None)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4))


# ---- the bundle ------------------------------------------------------------------------------------------------------


def make_bundle(folder: Path, change: Callable[[dict[str, Any]], object] = lambda document: None,
                labels: bytes = b"cat\ndog") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(b"onnx")
    (folder / "labels.txt").write_bytes(labels)
    document = {"v": 1, "model": "m-001", "classes": ["cat", "dog"],
                "sha256": {name: bundle.sha256(folder / name) for name in ("model.onnx", "labels.txt")}}
    change(document)
    (folder / "bundle.json").write_text(json.dumps(document))
    return folder


def test_a_right_bundle(tmp_path: Path) -> None:
    assert bundle.load(make_bundle(tmp_path / "m-001")).classes == ("cat", "dog")


@pytest.mark.parametrize("change", [
    lambda one: one.update(model="../../x"), lambda one: one.update(model=5), lambda one: one.update(classes="cat"),
    lambda one: one.update(classes=[1, 2]), lambda one: one.update(classes=["x"] * 5000), lambda one: one.update(sha256=[]),
    lambda one: one.update(sha256={}), lambda one: one["sha256"].update({"model.onnx": 5}), lambda one: one.clear(),
    lambda one: one.update(v="1"), lambda one: one.update(v={"x": "y" * 5000}), lambda one: one.update(x=float("nan")),
    lambda one: one.update(x=10 ** 400), lambda one: one["sha256"].update({"labels.txt": "0" * 64}),
    lambda one: one.update(classes=["cat", "d\ud800g"]),
])
def test_a_bundle_that_lies(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    with pytest.raises(WorkFailed) as caught:
        bundle.load(make_bundle(tmp_path / "m-001", change))
    assert caught.value.code in ("bundle.damaged", "bundle.version", "bundle.labels") and len(str(caught.value)) < 1000


def test_hashes_of_other_files_are_not_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    folder = make_bundle(tmp_path / "m-001", lambda one: one["sha256"].update({"../outside": "0", "/dev/zero": "0"}))
    opened: list[Path] = []
    whole = bundle.sha256
    monkeypatch.setattr(bundle, "sha256", lambda path: opened.append(path) or whole(path))
    bundle.load(folder)
    assert {path.parent for path in opened} == {folder}


@pytest.mark.parametrize("name", ["labels.txt", "bundle.json"])
def test_files_that_are_too_large_are_not_read(name: str, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "m-001")
    with (folder / name).open("ab") as stream:
        stream.truncate(20 << 20)
    with pytest.raises(WorkFailed) as caught:
        bundle.load(folder)
    assert caught.value.code == "bundle.damaged"


def test_labels_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed) as caught:
        bundle.load(make_bundle(tmp_path / "m-001", labels=b"cat\n\xff\xfe"))
    assert caught.value.code == "bundle.damaged"


# ---- the report ------------------------------------------------------------------------------------------------------

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><script>", "' onload='x", "{0.__class__}",
           "&lt;b&gt;", "javascript:alert(1)", "]]>", "\x1b[2J", "{machine}")


def loaded(figures: object, folder: Path) -> report.Report:
    (folder / "report.json").write_text(json.dumps(figures))
    return report.load(folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_words_in_the_page(name: str, tmp_path: Path) -> None:
    figures = copy.deepcopy(FIGURES)
    figures.update(model=name, recipe=name, arch=name, classes=["cat", name],
                   per_class={"cat": figures["per_class"]["cat"], name: figures["per_class"]["cat"]})
    figures["samples"] = [{"file": name, "class": name, "predicted": name, "confidence": 0.5}]
    page = report.render(loaded(figures, tmp_path), lambda file: b"jpeg")
    tags = read(page).tags
    assert {tag for tag, _ in tags} <= set("html meta title style body header section h1 h2 p div span b i ul li svg text line "
                                           "polyline circle rect table tr th td figure figcaption img".split())
    assert not any(key.startswith("on") for _, attributes in tags for key in attributes)
    assert not re.search(r'(src|href)="(?!data:)', page) and "default-src 'none'" in page and "\x1b" not in page


@pytest.mark.parametrize("change", [
    lambda one: one.update(history=5), lambda one: one.update(history=[{"epoch": "<b>"}]), lambda one: one.pop("images"),
    lambda one: one["images"].update(train="<b>80</b>"), lambda one: one.update(confusion=[[1]]),
    lambda one: one.update(confusion=[["<script>", 0], [0, 0]]), lambda one: one.update(test_accuracy="<b>"),
    lambda one: one.update(samples=[5]), lambda one: one.update(per_class={"cat": []}), lambda one: one.update(seconds=3),
    lambda one: one.update(history=[{"epoch": 1, "train_loss": 1e300}] * 20_000), lambda one: one.update(classes=[["cat"]]),
    lambda one: one["per_class"]["cat"].update(images="<i>"), lambda one: one.update(confusion=[[0] * 10_000] * 2),
])
def test_a_report_that_lies(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    figures = copy.deepcopy(FIGURES)
    change(figures)
    with pytest.raises(WorkFailed) as caught:
        loaded(figures, tmp_path)
    assert caught.value.code == "bundle.damaged"


@QUICK
@given(st.sampled_from(sorted(FIGURES)), JSON)
def test_any_value_is_drawn_or_refused(key: str, value: object) -> None:
    try:
        figures = report.read(answers.decode(json.dumps({**FIGURES, key: value}).encode()))
    except answers.Nonsense:
        return
    report.render(figures, lambda file: None).encode("utf-8")


def test_what_is_known_of_a_checkpoint_alone_is_drawn(tmp_path: Path) -> None:
    """A test of its own after the training: times and curves are lost."""
    figures = {**FIGURES, "seconds": {"features": None, "head": None, "total": None}, "history": [], "val_accuracy": None}
    assert "–" in report.render(loaded(figures, tmp_path), lambda file: None)


@pytest.mark.parametrize("file", [
    "../../etc/passwd", "/etc/passwd", "test/../secret.jpg", "test/cat/../../secret.jpg", "test/cat", "test/cat/", "secret.jpg",
    "test//secret.jpg", "test/cat/.hidden.jpg", "test/cat/notes.txt", "train/cat/b.jpg", "test/dog/x.jpg", "test/cat/a.jpg\0",
    "C:\\x.jpg", "test/cat\\a.jpg", "test/cat/sub/c.jpg", "", "test/cat/a.jpg/..",
])
def test_only_the_splits_test_images_are_shown(file: str, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", ["cat", "mug"])
    for name in ("secret.jpg", "test/cat/a.jpg", "test/cat/.hidden.jpg", "test/cat/notes.txt", "train/cat/b.jpg",
                 "test/dog/x.jpg", "test/cat/sub/c.jpg"):
        (workspace.path / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.path / name).write_bytes(b"x")
    assert export.tested_image(workspace, file) is None
    assert export.tested_image(workspace, "test/cat/a.jpg") == workspace.path / "test" / "cat" / "a.jpg"


# ---- pictures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture() -> bytes:
    import numpy

    return ImageFiles().encode_jpeg(numpy.full((36, 64, 3), 120, numpy.uint8))


def resized(picture: bytes, width: int, height: int) -> bytes:
    """The same picture with another size in its header."""
    at = picture.index(b"\xff\xc0") + 5
    return picture[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + picture[at + 4:]


def test_a_pictures_size_is_known_before_it_is_decoded(picture: bytes) -> None:
    assert jpeg.size(picture) == (64, 36) and jpeg.size(resized(picture, 65500, 65499)) == (65500, 65499)
    shown = ImageFiles().bitmap(picture, 32, 32)
    assert shown is not None and (shown.width, shown.height) == (32, 18)


@pytest.mark.parametrize("size", [(30_000, 30_000), (65_500, 65_500), (65_535, 100), (0, 100)])
def test_a_bomb_is_not_decoded(size: tuple[int, int], picture: bytes) -> None:
    """30,000 x 30,000 pixels in 400 bytes took 5 GB and 8 s."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert ImageFiles().bitmap(resized(picture, *size), 640, 360) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_other_kinds_of_pictures_and_halves_are_none(picture: bytes) -> None:
    import cv2
    import numpy

    image, images = numpy.zeros((9, 9, 3), numpy.uint8), ImageFiles()
    for suffix in (".png", ".bmp", ".tiff"):
        assert images.bitmap(cv2.imencode(suffix, image)[1].tobytes(), 9, 9) is None
    progressive = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert images.bitmap(progressive, 9, 9) is None
    # A second header behind the first, as large as no picture.
    assert jpeg.size(b"\xff\xd8\xff\xd8" + picture[2:]) is None


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_have_a_size_or_none(data: bytes) -> None:
    for said in (data, b"\xff\xd8" + data, b"\xff\xd8\xff\xe0" + data):
        jpeg.size(said)


@QUICK
@given(st.data())
def test_a_damaged_picture_is_shown_or_not(data: st.DataObject) -> None:
    import numpy

    images = ImageFiles()
    damaged = bytearray(images.encode_jpeg(numpy.full((36, 64, 3), 120, numpy.uint8)))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, 100))] = data.draw(st.integers(0, 255))
    images.bitmap(bytes(damaged), 64, 36)
