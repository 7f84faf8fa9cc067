"""Makes pip install again what a broken-off installation left incomplete in this virtual environment.

pip takes a package for installed as soon as its *.dist-info folder says so, although it copies the files one by one.
A package whose list of files is missing or disagrees with the disk loses that folder, and pip starts it anew.
"""

import csv
import shutil
import sys
import sysconfig
from pathlib import Path


def is_whole(info: Path) -> bool:
    """Whether every file in a *.dist-info folder's RECORD is on the disk with the size noted there."""
    try:
        rows = list(csv.reader((info / "RECORD").read_text(encoding="utf-8").splitlines()))
        sizes = [((info.parent / row[0]).stat().st_size, row[2]) for row in rows if not row[0].endswith(".pyc")]
    except (OSError, UnicodeDecodeError, IndexError, csv.Error):
        return False
    return bool(rows) and all(noted in ("", str(size)) for size, noted in sizes)


def main() -> int:
    packages = Path(sysconfig.get_path("purelib"))
    broken = [info for info in packages.glob("*.dist-info") if not is_whole(info)]
    # pip renames what it replaces to ~name and removes it at the end.
    for folder in broken + list(packages.glob("~*")):
        print(f"incomplete, to be installed again: {folder.name}")
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
