"""Questions that only the person at the terminal can answer."""

import getpass
import sys
import threading

from ai_nano.cli.console import Console
from ai_nano.core.errors import BadInput
from ai_nano.core.ports import Answer
from ai_nano.core.secret import Secret
from ai_nano.core.texts import t


class TerminalQuestions:
    """`--yes` accepts an unknown host key and prints it; without a terminal nobody is there to ask."""

    def __init__(self, console: Console, yes: bool) -> None:
        self._console = console
        self._yes = yes
        # Several machines may be asked at the same time; a person answers one after the other.
        self._one_at_a_time = threading.Lock()

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        if self._yes:
            # Always to be seen, with --json too: on standard error, which is for people.
            print(t("ask.host_key_accepted", machine=machine, kind=kind, fingerprint=fingerprint), file=sys.stderr)
            return True
        if not sys.stdin.isatty():
            return False
        with self._one_at_a_time:
            return self._ask(t("ask.host_key", machine=machine, kind=kind, fingerprint=fingerprint))

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        """`--yes` keeps nothing: that it may be kept is for a person to say."""
        if not sys.stdin.isatty():
            return None
        with self._one_at_a_time:
            self._console.close()
            typed = Secret(getpass.getpass(t("ask.password", machine=machine, login=login) + " "))
            if not typed:
                return None
            keep = can_keep and not self._yes and self._ask(t("ask.keep_password", machine=machine))
            return Answer(typed, keep)

    def confirm(self, text: str) -> bool:
        """A yes-or-no question; `--yes` answers it. BadInput where nobody is there to answer."""
        if self._yes:
            return True
        if not sys.stdin.isatty():
            raise BadInput("cli.nobody_confirms", question=text)
        with self._one_at_a_time:
            return self._ask(text)

    def _ask(self, text: str) -> bool:
        self._console.close()
        print(f"{text} [{t('ask.yes')}/{t('ask.no')}] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in (t("ask.yes"), t("ask.yes")[0])
