"""What travels to the Nano runs on its Python 3.6, with nothing but what is there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from machine import DEADLINE_S, REMOTE

FILES = sorted([*(REMOTE / "shared").glob("*.py"), *(REMOTE / "jetson_nano").glob("*.py")])
# What JetPack and jetson-inference bring, or what stands in for it.
NANO_BRINGS = {"cv2", "numpy", "PIL", "onnxruntime", "Jetson", "jetson_nano", "shared"}
SHARED_MAY = {"preprocess.py": {"numpy"}}


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names.add(str(node.module).split(".")[0])
    return names


def test_vermin_finds_nothing_newer() -> None:
    command = "import sys; from vermin import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", command, "--quiet", "--no-tips", "--violations", "-t=3.6-",
                           *map(str, FILES)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_imported_by_the_nano_s_python(nano_python: str) -> None:
    names = [f"{path.parent.name}.{path.stem}" for path in FILES if path.stem != "__init__"]
    assert len(names) > 12
    code = "import importlib, sys\nfor name in sys.argv[1:]: print(importlib.import_module(name).__name__)"
    done = subprocess.run([nano_python, "-W", "error", "-B", "-c", code, *names], capture_output=True, text=True,
                          env={"PYTHONPATH": str(REMOTE), "LANG": "C"}, timeout=DEADLINE_S)
    assert (done.stdout.split(), done.stderr) == (names, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_imported_that_is_not_there(path: Path) -> None:
    allowed = NANO_BRINGS if path.parent.name == "jetson_nano" else {"shared"} | SHARED_MAY.get(path.name, set())
    assert imported(path) - set(sys.stdlib_module_names) <= allowed
