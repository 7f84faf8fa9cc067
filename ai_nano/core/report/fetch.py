"""report.json of a training under way, fetched into the workspace while the training is followed."""

import os
import shutil
import threading
from pathlib import PurePosixPath
from types import TracebackType

from ai_nano.core import bundle, report
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, Detached
from ai_nano.core.events import Listener, Log
from ai_nano.core.files import storage_errors
from ai_nano.core.ports import Machine
from ai_nano.core.project.workspace import Workspace

# In the workspace's models/, while one comes.
INCOMING = ".report"
# For the report of a training that has ended, and for a transfer that was told to end.
LAST_S = 20.0
END_S = 3.0


class ReportFetch:
    """A thread that fetches when it is asked to; asked again meanwhile, once more after it. Within a `with`.

    Neither the followed job waits for it, nor does its failure end anything: it is a warning.
    """

    def __init__(self, workspace: Workspace, machine: Machine, model: str, emit: Listener) -> None:
        self._workspace = workspace
        self._machine = machine
        self._model = model
        self._emit = emit
        self._cancel = CancelToken()
        self._changed = threading.Condition()
        self._wanted = self._ended = False
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)

    def __enter__(self) -> "ReportFetch":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Waits for the one that is wanted, unless the training has ended otherwise than well."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if kind is None:
            self._thread.join(LAST_S)
        elif issubclass(kind, Detached):  # of the best so far, on which others go on
            self._thread.join(END_S)
        self._cancel.cancel()
        self._thread.join(END_S)

    def want(self) -> None:
        with self._changed:
            self._wanted = True
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._ended)
                if not self._wanted or self._cancel.cancelled:
                    return
                self._wanted = False
            try:
                fetch(self._workspace, self._machine, self._model, self._cancel)
            except Cancelled:
                return
            except AiNanoError as error:
                self._emit(Log("train.no_report", {"model": self._model, "what": error.what}, "warning"))


def fetch(workspace: Workspace, machine: Machine, model: str, cancel: CancelToken) -> None:
    """The machine's report.json of the model, whole and understood, into the workspace's folder of the model.

    Raises the project's errors; then what was there before is still there.
    """
    folder, incoming = workspace.model_folder(model), workspace.model_folder(INCOMING) / model
    with storage_errors(folder):
        shutil.rmtree(incoming.parent, ignore_errors=True)
        incoming.mkdir(parents=True)
        try:
            machine.download(PurePosixPath("models") / model / bundle.REPORT_JSON, incoming / bundle.REPORT_JSON, cancel)
            report.load(incoming)
            with workspace.publishing:
                folder.mkdir(exist_ok=True)
                os.replace(incoming / bundle.REPORT_JSON, folder / bundle.REPORT_JSON)
        finally:
            shutil.rmtree(incoming.parent, ignore_errors=True)
