"""Pictures of all pages from a real run, for the documents: light and dark, in every language, large and small.

    python tests/gui/screenshots.py [FOLDER] [--only-room]            (make screenshots; FOLDER: doc/screenshots)

One run through the embedded classroom by pointer and keys; then the instructor's pages in a room that is furnished for it.
Where a page has something to show, theme, language and size are changed as the window's menu would, and the window is
photographed from the screen.
"""

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import student
from instructor_pictures import take_room
from PIL import Image
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QApplication
from rooms import opening, window
from user import User
from xserver import XServer

from ai_nano.core import texts
from ai_nano.gui import style
from ai_nano.gui.main_window import MainWindow

SIZES = ((1280, 800), (1024, 700))
THEMES = ("light", "dark")
FLAT_COLOURS = 96


class Photographer:
    def __init__(self, shown: MainWindow, user: User, folder: Path) -> None:
        self._shown = shown
        self._user = user
        self._folder = folder
        self.count = 0

    def take(self, step: str, show: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """`show`: opens a dialog for each picture, since one that is open keeps its language."""
        for name in self._variants():
            with show():
                self._user.wait(0.35)
                self._save(self._folder / f"{step}-{name}.png")
            self.count += 1
        self._choose(SIZES[0], THEMES[0], "en")

    def _variants(self) -> Iterator[str]:
        for size in SIZES:
            for language in texts.languages():
                for theme in THEMES:
                    self._choose(size, theme, language)
                    yield f"{theme}-{language}-{size[0]}x{size[1]}"

    def _choose(self, size: tuple[int, int], theme: str, language: str) -> None:
        self._shown.resize(*size)
        self._shown.main_menu.choose_theme(theme)
        self._shown.main_menu.choose_language(language)
        self._user.wait(0.05)

    def _save(self, path: Path) -> None:
        grabbed = self._shown.screen().grabWindow(int(self._shown.winId())).toImage().convertToFormat(QImage.Format_RGB888)
        bits = grabbed.constBits()
        bits.setsize(grabbed.sizeInBytes())
        picture = Image.frombytes("RGB", (grabbed.width(), grabbed.height()), bytes(bits), "raw", "RGB",
                                  grabbed.bytesPerLine())
        with_palette(picture).save(path, optimize=True)


def with_palette(picture: Image.Image) -> Image.Image:
    """The picture with 256 colours: the theme's and the commonest as they are, the rest for the photographs in it."""
    counted = sorted(picture.getcolors(picture.width * picture.height), reverse=True)
    theme = {tuple(bytes.fromhex(value[1:])) for value in vars(style.tokens()).values()
             if isinstance(value, str) and value.startswith("#")}
    exact = [*theme, *(colour for _, colour in counted[:FLAT_COLOURS] if colour not in theme)]
    rest = picture.quantize(256 - len(exact), method=Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(([part for colour in exact for part in colour] + rest)[:768])
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def take_all(folder: Path, scratch: Path) -> int:
    os.chdir(scratch)
    # Relative, since it is to be read in the pictures.
    demo = Path("ai_nano-demo")
    demo.mkdir()
    with window(opening(scratch, demo=demo), SIZES[0]) as shown, User() as user:
        photographer = Photographer(shown, user, folder)
        user.wait_for("1 · Project", 60)
        user.wait(2.0)
        photographer.take("project")
        student.make_project(user)
        student.record(user, look=photographer.take)
        student.split_to_deploy(user, photographer.take)
        user.press("ctrl+2")
        user.click("Show all", nth=1)
        user.wait_for("Delete this recording")
        user.wait(1.0)
        photographer.take("gallery")
        user.press("ctrl+3")
        user.click("Why not shuffle?")
        user.click("Try both")
        user.wait_for(re.compile("^Shuffled, the test promises"), 300)
        user.wait(1.0)
        photographer.take("lesson")
        user.press("ctrl+5")
        user.click("Report", timeout=20)
        user.wait_for("What it takes for what", 20)
        photographer.take("report")
        user.click("All models")
        user.wait_for("All models of this project")
        user.wait(1.0)
        photographer.take("runs")
        user.press("ctrl+7")
        student.go_on(user, "Inference")
        student.hold_up(user, "coffee")
        student.start_inference(user)
        user.wait(2.0)
        photographer.take("infer")
        user.click("All Nanos")
        user.wait_for(re.compile("^coffee"), 20)
        user.wait(2.0)
        photographer.take("bench")
        user.click("Back")
        user.click("That was wrong")
        user.wait_for("What is it really?")
        photographer.take("wrong")
        user.click("Cancel")
        user.click("Stop")
        user.wait_for("Push Start to see what the Nano sees.", 20)
        return photographer.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[2] / "doc" / "screenshots")
    parser.add_argument("--only-room", action="store_true", help="the instructor's pages alone")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with XServer() as server, tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"DISPLAY": server.name, "QT_QPA_PLATFORM": "xcb", "AI_NANO_LANGUAGE": "en", "XDG_RUNTIME_DIR": scratch}
        os.chmod(scratch, 0o700)
        app = QApplication(["screenshots"])
        if not options.only_room:
            print(take_all(folder, Path(scratch)), "pictures of the student's pages")
        take_room(lambda shown, user: Photographer(shown, user, folder), Path(scratch) / "room")
        print(f"All are in {folder}")
        app.quit()


if __name__ == "__main__":
    main()
