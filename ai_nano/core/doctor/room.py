"""The whole room at once: every machine in a thread of its own, so that one that is off holds up nobody."""

import threading
from collections.abc import Callable, Mapping, Sequence

from ai_nano.core.cancel import CancelToken
from ai_nano.core.doctor.findings import FAILURE, Finding, Tell
from ai_nano.core.errors import AiNanoError, BadInput
from ai_nano.core.unexpected import explained

# Looks at one machine and tells what it finds.
Examine = Callable[[str, Tell], None]
Done = Callable[[str], object]


def chosen(wanted: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those that are asked for, all for none. BadInput for one that is not there."""
    for name in wanted:
        if name not in names:
            raise BadInput("doctor.no_machine", name=name, known=list(names))
    return [name for name in names if not wanted or name in wanted]


def examine_all(names: Sequence[str], examine: Examine, tell: Tell, done: Done,
                cancel: CancelToken) -> dict[str, list[Finding]]:
    """The findings by machine. `tell` and `done` come from several threads, never two at a time. Raises Cancelled."""
    lock = threading.Lock()
    found: dict[str, list[Finding]] = {name: [] for name in names}

    def look(name: str) -> None:
        def heard(finding: Finding) -> None:
            with lock:
                if not cancel.cancelled:
                    found[name].append(finding)
                    tell(finding)

        try:
            examine(name, heard)
        except Exception as error:
            told = error if isinstance(error, AiNanoError) else explained(error)
            heard(Finding(name, "program", FAILURE, told.code, "", dict(told.params)))
        with lock:
            if not cancel.cancelled:
                done(name)

    # Daemons: looking up a name has no time-out, and nobody should wait for it at the program's end.
    threads = [threading.Thread(target=look, args=(name,), name=f"doctor-{name}", daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            cancel.check()
            thread.join(0.05)
    return found


def counts(found: Mapping[str, Sequence[Finding]]) -> dict[str, int]:
    """How many findings of each state there are."""
    told: dict[str, int] = {}
    for findings in found.values():
        for finding in findings:
            told[finding.state] = told.get(finding.state, 0) + 1
    return told
