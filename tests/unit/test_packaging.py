"""setup.cfg agrees with the folders and with the requirements files that travel to the other machines."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

import ai_nano
from ai_nano import resources
from ai_nano.demo.cards import CARDS
from ai_nano.demo.stage_ranges import RANGES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    """Requirements without comments and empty lines, in order."""
    return [line for line in (line.split("#")[0].strip() for line in text.splitlines()) if line]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize(("extra", "machine"), [("server", "gpu_server"), ("nano", "jetson_nano")])
def test_an_extra_mirrors_the_requirements_file_of_its_machine(
    setup_cfg: configparser.ConfigParser, extra: str, machine: str
) -> None:
    required = lines((ROOT / "remote" / machine / "requirements.txt").read_text(encoding="utf-8"))
    assert required
    assert lines(setup_cfg["options.extras_require"][extra]) == required


def test_a_laptop_installs_the_window_but_no_torch_and_no_classroom(setup_cfg: configparser.ConfigParser) -> None:
    base = names(lines(setup_cfg["options"]["install_requires"]))
    assert {"paramiko", "numpy", "opencv-python-headless", "pyqt5", "pyqtgraph"} <= base
    assert not base & {"torch", "torchvision", "timm", "asyncssh", "scikit-image", "opencv-python"}


def test_every_package_with_code_is_listed(setup_cfg: configparser.ConfigParser) -> None:
    listed = set(lines(setup_cfg["options"]["packages"]))
    mapped = {"ai_nano._remote": "remote", "ai_nano._ui": "ui"}
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "ai_nano").rglob("__init__.py")}
    found |= set(mapped)
    found |= {f"ai_nano._remote.{path.parent.name}" for path in (ROOT / "remote").glob("*/*.py")}
    assert listed == found
    for package, folder in mapped.items():
        assert f"{package} = {folder}" in lines(setup_cfg["options"]["package_dir"])


def test_programs_that_travel_lie_directly_in_their_folder() -> None:
    """Deeper folders would need lines of their own in setup.cfg to get into the wheel."""
    paths = [path.relative_to(ROOT / "remote") for path in (ROOT / "remote").rglob("*") if path.is_file()]
    sources = [path for path in paths if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    assert sources
    assert {len(path.parts) for path in sources} == {2}, sources


def test_version_and_licence_are_said_once(setup_cfg: configparser.ConfigParser) -> None:
    assert setup_cfg["metadata"]["version"] == "attr: ai_nano.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", ai_nano.__version__)
    assert setup_cfg["metadata"]["license"] == "GPL-3.0-or-later"
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in licence and "Version 3, 29 June 2007" in licence


def test_every_picture_of_the_demo_has_its_notice() -> None:
    notice = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    pictures = set(CARDS.values()).union(*(ranges.backgrounds for ranges in RANGES.values()))
    assert not [picture for picture in pictures if f"`{picture}`" not in notice]


def test_in_a_checkout_the_folders_at_the_top_are_found() -> None:
    assert resources.remote_folder() == ROOT / "remote"
    assert resources.ui_folder() == ROOT / "ui"


def test_in_an_installed_wheel_the_folders_inside_the_package_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "ai_nano"
    (package / "_remote").mkdir(parents=True)
    (package.parent / "ui").mkdir()  # somebody else's
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.remote_folder() == package / "_remote"
    with pytest.raises(FileNotFoundError, match="incomplete"):
        resources.ui_folder()


def test_the_download_is_said_in_figures() -> None:
    text = (ROOT / ".make" / "download-size").read_text(encoding="utf-8")
    figures = {name: int(value) for name, value in re.findall(r"^([a-z-]+) = (\d+)$", text, re.MULTILINE)}
    assert set(figures) == {"demo", "test", "demo-cuda", "test-cuda", "nano"}
    assert 100 < figures["demo"] < figures["test"] < figures["test-cuda"]
    assert figures["demo"] < figures["demo-cuda"]
