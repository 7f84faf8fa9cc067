"""JSON that remembers where each key stood, so that an error can name the line.

The standard library's decoder does the reading; only objects are watched on their way in.
"""

import json
from json import decoder, scanner
from typing import Any

from ai_nano.core.errors import ConfigError
from ai_nano.core.secret import hidden


class Located(dict[str, Any]):
    """A JSON object; `places[key]` is the line and column (both from 1) at which the key stands."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, tuple[int, int]] = {}


class _Decoder(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.parse_object = self._object
        # The C scanner would not call parse_object; the Python one does.
        self.scan_once = scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    def _object(self, state: tuple[str, int], strict: bool, scan_once: Any, *unused: Any) -> tuple[Located, int]:
        text, start = state
        pairs, end = decoder.JSONObject(  # type: ignore[attr-defined]
            (text, start), strict, scan_once, None, _without_passwords, {})
        located = Located()
        position = start
        for key, value in pairs:
            position = text.index('"', position)
            place = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
            if key in located:
                raise ConfigError("config.twice", key=key, line=place[0], column=place[1])
            located[key] = value
            located.places[key] = place
            position = _skip_value(self, text, position)
        return located, end


def _without_passwords(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """None that a traceback could show."""
    return [(key, hidden(key, value)) for key, value in pairs]


def _skip_value(source: json.JSONDecoder, text: str, key_at: int) -> int:
    """The index behind the value of the key whose quote stands at `key_at`."""
    _, position = decoder.scanstring(text, key_at + 1, True)  # type: ignore[attr-defined]
    while text[position] in " \t\r\n:":
        position += 1
    _, end = json.JSONDecoder(strict=True).raw_decode(text, position)
    return end


def parse(text: str) -> Any:
    """The document; objects are `Located`. Raises ConfigError `config.syntax` with line and column, or `config.twice`."""
    try:
        return _Decoder().decode(text)
    except json.JSONDecodeError as error:
        raise ConfigError("config.syntax", line=error.lineno, column=error.colno, reason=error.msg) from error
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise ConfigError("config.syntax", line=1, column=1, reason=type(error).__name__) from error
