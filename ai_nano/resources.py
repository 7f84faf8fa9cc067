"""Where the folders lie that travel with ai_nano but are no part of its code.

In a checkout `remote/` and `ui/` stand at the top of the repository; a wheel carries them inside the package as
`ai_nano/_remote` and `ai_nano/_ui` (setup.cfg maps them). This is the only module that knows the difference.
"""

from __future__ import annotations

import errno
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def remote_folder() -> Path:
    """The folder that holds `shared/`, `gpu_server/` and `jetson_nano/`, the programs for the other machines.

    Raises FileNotFoundError when the installation is incomplete.
    """
    return _folder("remote")


def ui_folder() -> Path:
    """The folder that holds the window's Qt Designer files (`*.ui`).

    Raises FileNotFoundError when the installation is incomplete.
    """
    return _folder("ui")


def _folder(name: str) -> Path:
    installed = _PACKAGE / f"_{name}"
    if installed.is_dir():
        return installed
    checkout = _PACKAGE.parent / name
    # A folder called `remote` or `ui` beside an installed package could be anybody's.
    if checkout.is_dir() and (_PACKAGE.parent / "setup.cfg").is_file():
        return checkout
    raise FileNotFoundError(errno.ENOENT, "this installation of ai_nano is incomplete", str(installed))
