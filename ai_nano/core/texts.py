"""The one catalogue: every sentence that a person reads is looked up here by its code.

Messages are gettext `.po` files, read directly (polib) so that what is edited is what is shown: no compiled copy can be
out of date. The msgid is the code; parameters are `str.format` names.
"""

import functools
import gettext
import io
import os
from collections.abc import Mapping
from pathlib import Path

LOCALES = Path(__file__).with_name("locale")
DEFAULT_LANGUAGE = "en"

_language: str | None = None


def languages() -> list[str]:
    """The languages that have a catalogue, as two-letter codes."""
    return sorted(path.name for path in LOCALES.iterdir() if (path / "LC_MESSAGES" / "ai_nano.po").exists())


def set_language(language: str | None) -> None:
    """Choose the language; None returns to the environment's (AI_NANO_LANGUAGE, then LC_ALL, LC_MESSAGES, LANG)."""
    global _language
    _language = language


def current_language() -> str:
    wanted = [_language] if _language else []
    wanted += [os.environ.get(name, "") for name in ("AI_NANO_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")]
    for name in wanted:
        if name:
            code = name[:2].lower()
            return code if (LOCALES / code).is_dir() else DEFAULT_LANGUAGE
    return DEFAULT_LANGUAGE


@functools.cache
def catalogue(language: str) -> gettext.GNUTranslations:
    import polib

    entries = polib.pofile(str(LOCALES / language / "LC_MESSAGES" / "ai_nano.po"))
    return gettext.GNUTranslations(io.BytesIO(entries.to_binary()))


def _fill(sentence: str, params: Mapping[str, object]) -> str:
    shown = {key: _show(value) for key, value in params.items()}
    try:
        return sentence.format(**shown)
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError):
        # A machine with older or newer programs may send other parameters; the bare facts beat an exception.
        return sentence + " " + ", ".join(f"{key}={value}" for key, value in shown.items())


def _show(value: object) -> object:
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(_show(item)) for item in value)
    return "-" if value is None else value


def known(code: str) -> bool:
    return catalogue(DEFAULT_LANGUAGE).gettext(code) != code


def t(code: str, /, **params: object) -> str:
    """The sentence for `code` in the chosen language; English where a translation lacks it, else the code itself."""
    sentence = catalogue(current_language()).gettext(code)
    if sentence == code:
        sentence = catalogue(DEFAULT_LANGUAGE).gettext(code)
    if sentence == code:
        return f"{code} {dict(params)}" if params else code
    return _fill(sentence, params)
