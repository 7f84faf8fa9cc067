"""Rooms of doubles, at three stages of the journey."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from room import Room

from ai_nano.core.lanes import Lanes
from ai_nano.steps.export import ExportOptions
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.train import TrainOptions
from ai_nano.steps.upload import UploadOptions


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    lanes = Lanes()
    yield Room(tmp_path, lanes)
    lanes.close()


@pytest.fixture
def uploaded(room: Room) -> Room:
    room.add_images("cat", 10)
    room.add_images("dog", 10)
    room.do("split", SplitOptions())
    room.do("upload", UploadOptions())
    return room


@pytest.fixture
def exported(uploaded: Room) -> Room:
    model = uploaded.do("train", TrainOptions())["model"]
    uploaded.make_bundle(model)
    uploaded.do("export", ExportOptions())
    return uploaded
