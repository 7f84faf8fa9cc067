"""Wheels made again of packages that are installed beside the tests: real ones, and no registry is asked for them."""

from __future__ import annotations

import re
import sysconfig
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def closure(*names: str) -> list[str]:
    """The packages and all that they need, as far as it is installed."""
    found: list[str] = []
    pending = list(names)
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in found:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.append(name)
        pending += [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in needs if "extra ==" not in line]
    return sorted(found)


def repack(name: str, folder: Path) -> Path:
    """The wheel of one package, uncompressed."""
    found = distribution(name)
    info = _info(found)
    tags = [tag.split("-") for tag in re.findall(r"^Tag: (\S+)", found.read_text("WHEEL") or "", re.MULTILINE)]
    assert tags and found.files is not None, name
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    file = folder / f"{info.removesuffix('.dist-info')}-{tag}.whl"
    lines = []
    with zipfile.ZipFile(file, "w") as archive:
        for entry in found.files:
            path = Path(str(found.locate_file(entry)))
            if ".." in entry.parts or entry.suffix == ".pyc" or entry.name in NOTES:
                continue
            archive.write(path, entry.as_posix())
            checked = f"{entry.hash.mode}={entry.hash.value}" if entry.hash is not None else ""
            lines.append(f'"{entry.as_posix()}",{checked},{path.stat().st_size}\n')
        archive.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
    return file


def _info(found: Distribution) -> str:
    assert found.files is not None
    return next(entry.parts[0] for entry in found.files if entry.parts[0].endswith(".dist-info"))


def link_package(name: str, site: Path) -> None:
    """The package into another interpreter's site-packages, by hard links."""
    from tiny_wheels import link_file

    here = Path(sysconfig.get_path("purelib"))
    found = distribution(name)
    assert found.files is not None
    for entry in found.files:
        if ".." in entry.parts or entry.suffix == ".pyc":
            continue
        target = site / entry
        target.parent.mkdir(parents=True, exist_ok=True)
        link_file(here / entry, target)
