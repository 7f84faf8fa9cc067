"""The documentation: what it links to exists, and what it says the window shows is what the window shows."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "ai_nano" / "core" / "locale" / "en" / "LC_MESSAGES" / "ai_nano.po"
PAGES = [ROOT / "README.md", ROOT / "NOTICE.md", ROOT / "ui" / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
# Pages in which bold words are the window's.
OF_THE_WINDOW = [ROOT / name for name in ("README.md", "doc/guide.md", "doc/instructor.md")]
# A sentence of parameters and punctuation alone would allow any words.
FEWEST_LETTERS = 3


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    """Targets of links and pictures inside this repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def headings(page: Path) -> set[str]:
    """The anchors that a heading gets: lower case, without punctuation, hyphens for spaces."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def with_gaps(text: str, gap: str) -> re.Pattern[str]:
    """The text, with anything where it has a gap; a first letter may be a capital where a sentence begins with it."""
    pattern = ".+".join(re.escape(part) for part in re.split(gap, text))
    return re.compile(pattern, re.IGNORECASE)


@cache
def window_texts() -> tuple[tuple[str, re.Pattern[str]], ...]:
    texts = [entry.msgstr for entry in polib.pofile(str(CATALOGUE))]
    parameter = r"\{[^}]*\}"
    return tuple((text, with_gaps(text, parameter)) for text in texts
                 if len(re.sub(r"\W", "", re.sub(parameter, "", text))) >= FEWEST_LETTERS)


def is_shown(words: str) -> bool:
    """A gap in a page's words is `…`, one in the catalogue's a parameter."""
    pattern = with_gaps(words, "…")
    return any(text.casefold() == words.casefold() or whole.fullmatch(words) or pattern.fullmatch(text)
               for text, whole in window_texts())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    missing = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in headings(file)):
            missing.append(target)
    assert not missing


def test_links_are_found() -> None:
    assert len(links(ROOT / "README.md")) > 10


def test_the_readme_names_folders_that_exist() -> None:
    named = re.findall(r"`((?:ai_nano|ui|remote|tests|doc)/[^`<>*]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", OF_THE_WINDOW, ids=name)
def test_bold_words_are_the_windows(page: Path) -> None:
    bold = [" ".join(words.split()) for words in re.findall(r"\*\*(.+?)\*\*", page.read_text(encoding="utf-8"), re.DOTALL)]
    assert len(bold) > 5
    assert [words for words in bold if not is_shown(words)] == []


def test_words_that_the_window_does_not_show_are_found() -> None:
    assert is_shown("Project OK") and is_shown("Next: 3 Split") and is_shown("A project is here: …")
    assert not is_shown("Project Okay") and not is_shown("Start the embedded lesson")
