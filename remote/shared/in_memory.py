"""Runs a program of ours without a file of it on this machine: its text and this one come on standard input.

The doctor comes so: it has to work where nothing can be written, and it changes nothing. The laptop starts
`PYTHON -c TEXT LENGTH PROGRAM words...`, where TEXT reads and runs LENGTH bytes, this module; then comes a tar of the programs
(gzip), its length before it in a line of its own. What follows is the program's own standard input.
"""

import importlib.util
import io
import runpy
import sys
import tarfile
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any, Dict, List, Optional


class Archive(MetaPathFinder, InspectLoader):
    """Modules out of the texts of a tar, by their dotted names; packages are the folders with an __init__.py."""

    def __init__(self, texts: Dict[str, str]) -> None:
        self._texts = texts

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        if name not in self._texts and name + ".__init__" not in self._texts:
            return None
        return importlib.util.spec_from_loader(name, self, origin=name, is_package=self.is_package(name))

    def is_package(self, name: str) -> bool:
        return name + ".__init__" in self._texts

    def get_source(self, name: str) -> str:
        return self._texts[name + ".__init__" if self.is_package(name) else name]


def read(stream: Any) -> Archive:
    data = stream.read(int(stream.readline()))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        texts = {}
        for member in archive.getmembers():
            content = archive.extractfile(member)
            if content is not None and member.name.endswith(".py"):
                texts[member.name[:-len(".py")].replace("/", ".")] = content.read().decode("utf-8")
    return Archive(texts)


def main(words: List[str]) -> None:
    """Runs the module `words[0]` as the program with the other words."""
    sys.dont_write_bytecode = True
    if sys.path and sys.path[0] == "":  # a json.py in somebody's home is not ours
        del sys.path[0]
    sys.meta_path.insert(0, read(sys.stdin.buffer))
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[2:])
