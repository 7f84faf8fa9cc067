"""All machines of a room asked side by side, a few seconds apart, for as long as somebody looks. Nobody is disturbed: it is
one short program on each machine, which reads the ends of files."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ai_nano.core.asking import Asking, Watches, again_after
from ai_nano.core.errors import AiNanoError
from ai_nano.core.overview import sight
from ai_nano.core.overview.sight import Sight
from ai_nano.core.ports import Lab, Machine

ASK_S = 4.0


class MachineWatch(Asking):
    """One machine: `run` in a thread of its own until `stop`, `sight` from any."""

    def __init__(self, name: str, is_server: bool, machine: Callable[[], Machine]) -> None:
        """`machine` may raise ConfigError, for a machine that this version cannot work with."""
        super().__init__()
        self._open = machine
        # One object, so that no reader sees a half of each.
        self._seen = Sight(name, is_server), time.monotonic()

    def ask(self) -> float | None:
        before = self._seen[0]
        try:
            works = tuple(sight.read(before.name, self._open().room()))
        except AiNanoError as error:
            self._seen = Sight(before.name, before.is_server, None, error), time.monotonic()
            return again_after(error)
        self._seen = Sight(before.name, before.is_server, works), time.monotonic()
        return ASK_S

    def sight(self) -> Sight:
        seen, at = self._seen
        if seen.works is None:
            return seen
        since = time.monotonic() - at
        return Sight(seen.name, seen.is_server, tuple(work.older(since) for work in seen.works))


class RoomWatch(Watches[MachineWatch]):
    """All machines that are filled in, the server first."""

    def __init__(self, lab: Lab) -> None:
        def nano(name: str) -> MachineWatch:
            return MachineWatch(name, False, lambda: lab.nano(name))

        config = lab.config
        servers = [MachineWatch(config.server.name, True, lambda: lab.server)] if config.server.filled_in else []
        super().__init__([*servers, *(nano(one.name) for one in config.filled_nanos)])

    def sights(self) -> list[Sight]:
        return [watch.sight() for watch in self.watches]

    def ask_once(self) -> list[Sight]:
        """All at once, each one time: a machine that is off holds nobody up but the answer."""
        if self.watches:
            with ThreadPoolExecutor(len(self.watches)) as pool:
                list(pool.map(MachineWatch.ask, self.watches))
        return self.sights()
