"""Waiting at the terminal: Ctrl-C asks the step to cancel, and is answered when it has."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from ai_nano.cli.console import Console
from ai_nano.core.cancel import CancelToken
from ai_nano.core.events import Event
from ai_nano.core.project.workspace import Receipt
from ai_nano.core.running import Running
from ai_nano.core.workflow import Workflow

T = TypeVar("T")

# Ctrl-C is only seen between two waits on some systems.
SLICE_S = 0.2


def carry_out(workflow: Workflow, step: str, options: Any, console: Console,
              leave_at: Callable[[Event], bool] = lambda event: False) -> Receipt:
    """Start a step and wait for its receipt. At an event that is one to `leave_at` it is left to itself: raises Detached."""
    begun: Future[Running] = Future()

    def heard(event: Event) -> None:
        console.emit(event)
        if leave_at(event):
            begun.result().detach()

    running = workflow.start(step, options, heard)
    begun.set_result(running)
    return _await(running.future, running.cancel)


def wait(work: Callable[[CancelToken], T], letting_go: bool = False) -> T:
    """Run `work` in a thread and wait for it; it is given the token that Ctrl-C cancels, or with `letting_go` detaches."""
    cancel = CancelToken()
    future: Future[T] = Future()

    def carry_out_work() -> None:
        try:
            future.set_result(work(cancel))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=carry_out_work, name="command", daemon=True).start()
    return _await(future, cancel.detach if letting_go else cancel.cancel)


def _await(future: "Future[T]", cancel: Callable[[], None]) -> T:
    """The future's result. The first Ctrl-C cancels and goes on waiting; the second leaves at once."""
    asked = False
    while True:
        try:
            return future.result(SLICE_S)
        except FutureTimeout:
            if future.done():
                raise
        except KeyboardInterrupt:
            if asked:
                raise
            asked = True
            cancel()
