"""An instructor ends somebody's run, or takes a Nano over; who worked there is told who did it (doc/design/room.md)."""

from ai_nano.core.errors import WorkFailed
from ai_nano.core.overview import sight
from ai_nano.core.overview.sight import Work
from ai_nano.core.ports import Lab, Machine
from ai_nano.core.room.ended import By


def end(machine: Machine, run: str, by: By | None) -> None:
    """MachineError, or WorkFailed where it is not known to be gone."""
    if not machine.attach(run).cancel(by):
        raise WorkFailed("job.not_cancelled", machine=machine.name, run=run)


def take_over(machine: Machine, everybody: bool, by: By) -> list[Work]:
    """End what has the Nano now, and with `everybody` all who wait for it too. Returns what was ended.

    The machine itself is asked once more, since a page may be seconds old. Who waits is ended first: or each in turn would
    get the Nano for a moment.
    """
    running = [work for work in sight.read(machine.name, machine.room()) if work.state == "running"]
    doomed = [work for work in running if everybody and work.waiting] + [work for work in running if not work.waiting]
    for work in doomed:
        end(machine, work.run, by)
    return doomed


def machine_of(lab: Lab, name: str) -> Machine:
    """The server or the Nano of that name. ConfigError where there is none."""
    return lab.server if name == lab.config.server.name else lab.nano(name)
