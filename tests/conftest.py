"""What holds for every test: no thread or process outlives it, and tests that need root are never lost in CI."""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import processes
import pytest

IN_CI = bool(os.environ.get("CI"))
IS_ROOT = os.geteuid() == 0
HAS_KEYRING = all(shutil.which(name) for name in ("dbus-run-session", "gnome-keyring-daemon"))

# Set in the environment of a test: what it starts inherits it, and is known by it even after a double fork.
_TOKEN = "AI_NANO_TEST"
_GRACE_S = 3.0
# multiprocessing's tracker, and contract/nursery.py.
_LONG_LIVED = ("resource_tracker", "nursery.py")


# One file that takes two minutes and begins last keeps one worker busy while the others have nothing left to do.
_ORDER = ("e2e", "gui", "integration", "contract", "unit")


def _long_ones_first(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return _ORDER.index(folder) if folder in _ORDER else len(_ORDER)


class RootTests:
    """Counts the tests marked `root`; in CI one that did not run fails the session.

    By reports alone, since those reach the process that says how it ended also when others run the tests for it.
    """

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self.ran: set[str] = set()

    @property
    def left_out(self) -> int:
        return len(self.wanted - self.ran)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=_long_ones_first)
        for item in items:
            if item.get_closest_marker("root") is not None and not IS_ROOT and not IN_CI:
                item.add_marker(pytest.mark.skip(reason="needs the rights of root"))
            if item.get_closest_marker("keyring") is not None and not HAS_KEYRING and not IN_CI:
                item.add_marker(pytest.mark.skip(reason="needs dbus-run-session and gnome-keyring-daemon"))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker("root") is not None and not IS_ROOT:
            pytest.fail("needs the rights of root, which CI has to give", pytrace=False)
        if item.get_closest_marker("keyring") is not None and not HAS_KEYRING:
            pytest.fail("needs dbus-run-session and gnome-keyring-daemon, which CI has to install", pytrace=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "root" not in report.keywords:
            return
        self.wanted.add(report.nodeid)
        if report.when == "call" and not report.skipped:
            self.ran.add(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if IN_CI and self.left_out and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        # Here, not in the terminal summary: this is the only hook after pytest's own last line.
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"root: {len(self.ran)} ran, {self.left_out} left out")


def pytest_configure(config: pytest.Config) -> None:
    # No test asks the keyring of whoever runs it.
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    config.pluginmanager.register(RootTests())


@pytest.fixture(autouse=True)
def nothing_outlives_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test that leaves a thread or a process behind, and ends that process.

    What a module's or the session's fixtures started before belongs to them. Detached processes are found too, unless
    they were started with an environment of their own.
    """
    token = uuid.uuid4().hex
    monkeypatch.setenv(_TOKEN, token)
    threads = set(threading.enumerate())
    children, others = _children(), set(processes.others())
    yield
    left_threads = _wait_until_empty(lambda: [t.name for t in threading.enumerate() if t not in threads])
    left_processes = _wait_until_empty(lambda: sorted(_marked(token, others) | (_children() - children)))
    names = [f"{pid}: {processes.command(pid)[:200]}" for pid in left_processes]
    for pid in left_processes:
        processes.kill(pid)
    problems = []
    if left_threads:
        problems.append(f"threads outlived the test: {left_threads}")
    if names:
        problems.append(f"processes outlived the test: {names}")
    if problems:
        pytest.fail("; ".join(problems), pytrace=False)


def _wait_until_empty(left: Callable[[], list]) -> list:
    """What is still left after the grace period; a thread that has just been told to end may take its moment."""
    deadline = time.monotonic() + _GRACE_S
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _marked(token: str, before: set[int]) -> set[int]:
    """The living processes with the test's token in their environment; those of before it cannot have it."""
    wanted = f"{_TOKEN}={token}".encode()
    return {pid for pid in processes.others() if pid not in before and wanted in processes.environment(pid)}


def _children() -> set[int]:
    """Those of pytest; what lives as long as pytest is not among them."""
    return {pid for pid in processes.children(os.getpid()) if not any(each in processes.command(pid) for each in _LONG_LIVED)}
