"""Names in the order in which a person counts: `frame 9` before `frame 10`."""

import re

Key = tuple[tuple[str, int, str], ...]

_NUMBER = re.compile("([0-9]+)")


def key(name: str) -> Key:
    """For `sorted`. Numbers of any length are compared by their digits: nobody makes an int of a thousand of them."""
    words = _NUMBER.split(name.casefold())
    numbers = [word.lstrip("0") for word in words[1::2]] + [""]
    return tuple((text, len(number), number) for text, number in zip(words[::2], numbers, strict=True)) + ((name, 0, ""),)
