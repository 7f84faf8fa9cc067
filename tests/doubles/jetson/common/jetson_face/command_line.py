"""jetson-utils' command line [A1]: names by prefix, hyphens and underscores alike, whatever is unknown is passed over."""


class CommandLine:
    def __init__(self, argv):
        self._argv = list(argv)

    def _flag(self, word):
        """What follows the leading hyphens; None for a word without them or with nothing behind."""
        stripped = word.lstrip("-")
        return stripped if len(word) > len(stripped) and len(stripped) > 1 else None

    def _find(self, name):
        for word in self._argv:
            flag = self._flag(word)
            if flag is not None and flag.lower().startswith(name.lower()):
                return flag
        return None

    def string(self, name, default=None):
        """A flag with a longer name counts as well: `input` finds `input-blob`. No '=' is looked for, a character skipped."""
        found = self._find(name)
        if found is None and ("-" in name or "_" in name):
            found = self._find(name.translate(str.maketrans("-_", "_-")))
        return default if found is None else found[len(name) + 1:]

    def number(self, name, default):
        text = self.string(name)
        if text is None:
            return default
        try:
            return type(default)(text)
        except ValueError:
            return type(default)(0)

    def flag(self, name):
        return any(flag is not None and flag.split("=")[0].lower() == name for flag in map(self._flag, self._argv))


def strings(argv, where):
    """A Python list as the bindings take it [A2]: no list, or an empty one, is no command line."""
    if not isinstance(argv, list) or not argv:
        return []
    if not all(isinstance(word, str) for word in argv):
        raise Exception(where + " failed to parse argv list")
    return argv
