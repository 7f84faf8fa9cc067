"""The dataset in a model's folder: labels.txt, and train/ val/ test/ with one folder for each class."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, TypeVar

import cv2
import numpy as np

from shared import owner
from shared.wire import Failure, Run

SPLITS = ("train", "val", "test")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_MODEL_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LOOKED_AT = 5  # images, for their size
_JPEG, _START_OF_SCAN, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"

T = TypeVar("T")


class Image(NamedTuple):
    """One image file and the class it shows; `file` is its path below the model's folder, with slashes."""

    path: Path
    file: str
    label: int


class Dataset(NamedTuple):
    """`classes` in the order of labels.txt, which is the order of the network's outputs; `splits` by name.

    `extra_folders` are those below a split that labels.txt does not name.
    """

    classes: List[str]
    splits: Dict[str, List[Image]]
    extra_folders: List[str]


def model_folder(run: Run) -> Path:
    """ROOT/models/<model> of the run's parameters; Failure `model.missing` {model, folder} when there is none, and
    `store.others` {model, student} when it is another workspace's: numbers begin again where a room was cleaned."""
    model = str(run.params.get("model"))
    folder = run.root / "models" / model
    if not _MODEL_NAME.fullmatch(model) or not folder.is_dir():
        raise Failure("model.missing", model=model, folder=str(folder))
    owner.check(folder, run.params.get("workspaces") or ())
    return folder


def read_classes(folder: Path) -> List[str]:
    """The classes of labels.txt in order. Failures: `model.no_labels`, `model.bad_labels`, `train.one_class`."""
    path = folder / "labels.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise Failure("model.no_labels", model=folder.name, folder=str(folder)) from None
    except UnicodeDecodeError:
        raise Failure("model.bad_labels", model=folder.name, line=1) from None
    while lines and not lines[-1].strip():
        lines.pop()
    classes: List[str] = []
    for number, line in enumerate(lines, 1):
        name = unicodedata.normalize("NFC", line.strip())
        if not name or name in classes:
            raise Failure("model.bad_labels", model=folder.name, line=number)
        classes.append(name)
    if len(classes) < 2:
        raise Failure("train.one_class", model=folder.name, count=len(classes))
    return classes


def read_dataset(folder: Path) -> Dataset:
    """Every image of every split, ordered by class and file name."""
    classes = read_classes(folder)
    extra: List[str] = []
    splits: Dict[str, List[Image]] = {}
    for split in SPLITS:
        found = _class_folders(folder / split)
        extra += [f"{split}/{name}" for name in found if name not in classes]
        splits[split] = [
            Image(path, path.relative_to(folder).as_posix(), label)
            for label, name in enumerate(classes)
            if name in found
            for path in sorted(found[name].iterdir())
            if _is_image(path)
        ]
    return Dataset(classes, splits, extra)


def warn_of_gaps(run: Run, dataset: Dataset) -> None:
    """Warnings `train.empty_split` {class, split} for val/ and test/, and `train.extra_folder` {folder}."""
    for folder in dataset.extra_folders:
        run.log("train.extra_folder", level="warning", folder=folder)
    for split in ("val", "test"):
        for name in _classes_without_images(dataset.splits[split], dataset.classes):
            run.log("train.empty_split", level="warning", **{"class": name, "split": split})


def facts(dataset: Dataset) -> Dict[str, Any]:
    """The parameters of the log `train.data`: how many images there are, and the most frequent size.

    `smallest` and `largest` count the training images of a class. The size is that of a few images spread over all, in
    pixels; 0 where none of them can be read.
    """
    counts = Counter(image.label for image in dataset.splits["train"])
    every = [image for split in SPLITS for image in dataset.splits[split]]
    frames = [read_image(image.path) for image in every[:: max(1, len(every) // _LOOKED_AT)][:_LOOKED_AT]]
    sizes = Counter((frame.shape[1], frame.shape[0]) for frame in frames if frame is not None)
    width, height = sizes.most_common(1)[0][0] if sizes else (0, 0)
    return {
        "images": len(every),
        **{split: len(dataset.splits[split]) for split in SPLITS},
        "classes": len(dataset.classes),
        "smallest": min(counts[label] for label in range(len(dataset.classes))),
        "largest": max(counts[label] for label in range(len(dataset.classes))),
        "width": width,
        "height": height,
    }


def counts_by_class(dataset: Dataset) -> Dict[str, Dict[str, int]]:
    """How many images of each class each split holds, for report.json."""
    return {
        name: {split: sum(image.label == label for image in dataset.splits[split]) for split in SPLITS}
        for label, name in enumerate(dataset.classes)
    }


def require_every_class(train: List[Image], classes: List[str], model: str) -> None:
    """Failure `train.no_images` {model, class, folder} for the first class that `train` has no image of."""
    for name in _classes_without_images(train, classes):
        raise Failure("train.no_images", model=model, folder=f"train/{name}", **{"class": name})


def spread(images: Sequence[T], most: int) -> List[T]:
    """`most` of the images, or of what is told of them, at even distances, or all: they are sorted by class, and each should
    have its share."""
    if len(images) <= most:
        return list(images)
    return [images[place * len(images) // most] for place in range(most)]


def _classes_without_images(images: List[Image], classes: List[str]) -> List[str]:
    present = {image.label for image in images}
    return [name for label, name in enumerate(classes) if label not in present]


def _class_folders(split: Path) -> Dict[str, Path]:
    """By class name: some systems hand out accents in another form than labels.txt has them."""
    found = sorted(path for path in split.iterdir() if path.is_dir()) if split.is_dir() else []
    return {unicodedata.normalize("NFC", path.name): path for path in found if not path.name.startswith(".")}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()


def read_image(path: Path) -> Optional[np.ndarray[Any, Any]]:
    """The image as uint8 BGR (H, W, 3), turned upright as its EXIF says; None for what is damaged or no image.

    OpenCV before 5 fills the missing part of a JPEG that was cut short with grey and says nothing, hence the look at its
    end: inside a scan a 0xff byte is always escaped, so the last scan of a whole file is followed by an end marker.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if data.startswith(_JPEG) and data.find(_END_OF_IMAGE, data.rfind(_START_OF_SCAN)) < 0:
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        return None
