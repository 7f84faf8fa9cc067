"""Typed reading of what another machine says, which may be broken or lie.

`decode` makes a message of a line: an object without NaN, without numbers or depths that Python stumbles over, and
without half characters that cannot be printed. The getters then give values of the type and size that doc/design/wire.md
promises, or raise Nonsense; `reading` turns that into the project's error. What they give as text has no control
characters: it goes to terminals.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.names import is_model_name
from ai_nano.core.texts import known

T = TypeVar("T")
Message = Mapping[str, Any]

# An empty list takes 3 bytes in JSON and 64 in memory: a line's length alone does not bound what it becomes.
MOST_VALUES = 400_000
DEEPEST = 40
LONGEST_NUMBER = 20
LONGEST_TEXT = 400
LONGEST_PATH = 4096
MOST_PARAMS = 30
# Exact in a float, and so in every JSON reader.
LARGEST_COUNT = 2 ** 53

_HALF = re.compile("[\ud800-\udfff]")
_ESCAPE_SEQUENCE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]{0,200}(?:\x07|\x1b\\\\)?|[@-_])")
# Control characters, line breaks of Unicode, and what reverses the direction of the words around it.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,79}")
_PARAMETER = re.compile(r"[a-z_][a-z0-9_]{0,39}")
# Said by us: whose words they are, and what belongs to our own constructors.
_RESERVED = ("details", "machine")


class Nonsense(ValueError):
    """What was said has another shape than doc/design/wire.md gives it. Never shown: see `reading`."""


@contextmanager
def reading(machine: str) -> Iterator[None]:
    """Nonsense inside becomes MachineError `machine.nonsense`."""
    try:
        yield
    except Nonsense as error:
        raise MachineError("machine.nonsense", machine=machine) from error


# ---- a line ----------------------------------------------------------------------------------------------------------


def decode(line: bytes) -> dict[str, Any]:
    """The object in a line. Raises Nonsense; the caller has bounded the line's length."""
    if sum(map(line.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Nonsense("too many values")
    try:
        document = json.loads(line.decode("utf-8"), parse_int=_integer, parse_float=_finite, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Nonsense(type(error).__name__) from None
    if not isinstance(document, dict):
        raise Nonsense("no object")
    _mend(document)
    return document


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise Nonsense("a number without end")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Nonsense("a number without end")
    return value


def _no_number(word: str) -> float:
    raise Nonsense(word)


def _mend(document: dict[str, Any]) -> None:
    """Refuse what is nested too deep, and replace halves of surrogate pairs, which no file and no terminal takes."""
    pending: list[tuple[Any, int]] = [(document, 1)]
    while pending:
        container, depth = pending.pop()
        if depth > DEEPEST:
            raise Nonsense("nested too deep")
        for key, value in list(container.items()) if isinstance(container, dict) else enumerate(container):
            if isinstance(key, str) and _HALF.search(key):
                raise Nonsense("half a character")
            if isinstance(value, str):
                if _HALF.search(value):
                    container[key] = _HALF.sub("\ufffd", value)
            elif isinstance(value, (dict, list)):
                pending.append((value, depth + 1))


# ---- values ----------------------------------------------------------------------------------------------------------


def shown(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text as one line for a person, without what steers a terminal, cut at `longest` characters."""
    cut = text if len(text) <= longest else text[:longest - 1] + "…"
    return _NOT_SHOWN.sub("\ufffd", _ESCAPE_SEQUENCE.sub("", cut).replace("\t", " "))


def optional(reader: Callable[..., T], message: Message, key: str, **bounds: Any) -> T | None:
    """What `reader` gives; None where the key is missing or null."""
    return None if message.get(key) is None else reader(message, key, **bounds)


def text(message: Message, key: str, longest: int = LONGEST_TEXT) -> str:
    """A string of at most `longest` characters, fit to be shown."""
    value = message.get(key)
    if not isinstance(value, str) or len(value) > longest:
        raise Nonsense(key)
    return shown(value, longest)


def model(message: Message, key: str) -> str:
    """The name of a model, which becomes a path here and a word of a command there."""
    value = message.get(key)
    if not isinstance(value, str) or not is_model_name(value):
        raise Nonsense(key)
    return value


def path(message: Message, key: str) -> str:
    """An absolute path on the machine."""
    value = message.get(key)
    if not isinstance(value, str) or not value.startswith("/") or len(value) > LONGEST_PATH or "\0" in value:
        raise Nonsense(key)
    return value


def code(message: Message, key: str = "code") -> str:
    """Something with the form of a code of the catalogue, whether it is there or not."""
    value = message.get(key)
    if not isinstance(value, str) or _CODE.fullmatch(value) is None:
        raise Nonsense(key)
    return value


def choice(message: Message, key: str, words: Sequence[str]) -> str:
    value = message.get(key)
    if not isinstance(value, str) or value not in words:
        raise Nonsense(key)
    return value


def number(message: Message, key: str, low: float = -1e15, high: float = 1e15) -> float:
    """A finite number, int or float."""
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise Nonsense(key)
    return value


def count(message: Message, key: str, low: int = 0, high: int = LARGEST_COUNT) -> int:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Nonsense(key)
    return value


def fraction(message: Message, key: str) -> float:
    return number(message, key, 0.0, 1.0)


def flag(message: Message, key: str) -> bool:
    value = message.get(key)
    if not isinstance(value, bool):
        raise Nonsense(key)
    return value


def mapping(message: Message, key: str, most: int = MOST_VALUES) -> Mapping[str, Any]:
    value = message.get(key)
    if not isinstance(value, dict) or len(value) > most:
        raise Nonsense(key)
    return value


def items(message: Message, key: str, most: int = MOST_VALUES) -> list[Any]:
    value = message.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise Nonsense(key)
    return value


def objects(message: Message, key: str, most: int = MOST_VALUES) -> list[Mapping[str, Any]]:
    """A list of objects."""
    found = items(message, key, most)
    if not all(isinstance(one, dict) for one in found):
        raise Nonsense(key)
    return found


def texts(message: Message, key: str, most: int = 1000, longest: int = LONGEST_TEXT) -> list[str]:
    """A list of strings, fit to be shown."""
    found = items(message, key, most)
    if not all(isinstance(one, str) and len(one) <= longest for one in found):
        raise Nonsense(key)
    return [shown(one, longest) for one in found]


def params(message: Message, key: str = "params") -> dict[str, object]:
    """What fills a sentence of the catalogue: plain values, bounded. What is none is left out, not refused."""
    given = message.get(key)
    if not isinstance(given, dict):
        return {}
    names = [name for name in given if _PARAMETER.fullmatch(name) and name not in _RESERVED][:MOST_PARAMS]
    return {name: _plain(given[name]) for name in names}


def _plain(value: Any) -> object:
    if isinstance(value, list):
        return [_plain(one) for one in value[:MOST_PARAMS] if not isinstance(one, (list, dict))]
    if isinstance(value, dict):
        return "{…}"
    return shown(value) if isinstance(value, str) else value


def error(message: Message, machine: str) -> WorkFailed:
    """The error that a program reports, in neutral words where this version does not know its code. Raises Nonsense."""
    return told(code(message), params(message), machine)


def told(said: str, given: Mapping[str, object], machine: str, details: Sequence[str] = ()) -> WorkFailed:
    """The same, of what `code` and `params` have read before."""
    if not known(said + ".what"):
        return WorkFailed("machine.unknown_error", details=details, machine=machine, error=said)
    return WorkFailed(said, details=details, machine=machine, **given)
