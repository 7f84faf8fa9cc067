"""Which Nano step 8 uses, and which of the models that are there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PyQt5.QtWidgets import QComboBox

from ai_nano.core.errors import AiNanoError
from ai_nano.gui.session import Session

Models = Sequence[Mapping[str, Any]]


class NanoChoice:
    """Fills both boxes; `changed` is called when another Nano is chosen. Models are known once they were asked for."""

    def __init__(self, session: Session, nano: QComboBox, model: QComboBox, changed: Callable[[], object]) -> None:
        self._session, self._nano, self._model, self._changed = session, nano, model, changed
        self._there: dict[str, Models] = {}
        self._proposed: object = None
        nano.currentIndexChanged.connect(lambda _index: self._on_nano())

    @property
    def nano(self) -> str:
        return str(self._nano.currentText())

    @property
    def model(self) -> str:
        return str(self._model.currentText())

    @property
    def made(self) -> bool:
        return bool(self.nano and self.model)

    @property
    def classes(self) -> list[str]:
        """Of the chosen model, as far as they are known before it runs."""
        for one in self._there.get(self.nano, ()):
            if one["model"] == self.model and one.get("classes"):
                return [str(name) for name in one["classes"]]
        workspace = self._session.workspace
        receipt = workspace.done("export") if workspace is not None else None
        if receipt is not None and receipt.facts["model"] == self.model:
            return [str(name) for name in receipt.facts["classes"]]
        return []

    def propose(self, nano: str, model: str, there: Models = ()) -> None:
        """A model that is on a Nano, chosen elsewhere."""
        self.list_nanos()
        self._nano.setCurrentText(nano)
        if there:
            self._there[nano] = there
        self._list_models(model)

    def list_nanos(self) -> None:
        """Those of the room."""
        names = [nano.name for nano in self._session.config.filled_nanos]
        if names != [self._nano.itemText(index) for index in range(self._nano.count())]:
            self._there, self._proposed = {}, None
            self._nano.clear()
            self._nano.addItems(names)

    def propose_deployed(self) -> None:
        """The model that this workspace has pushed, on the Nano to which it was pushed; proposed once."""
        workspace = self._session.workspace
        receipt = workspace.done("deploy") if workspace is not None else None
        if receipt is None or not receipt.facts["nanos"]:
            return
        key = (workspace, receipt.at)
        if key != self._proposed:
            self._proposed = key
            self._nano.setCurrentText(str(receipt.facts["nanos"][0]))
            self._there.pop(self.nano, None)
            self._list_models(str(receipt.facts["model"]))

    def ask(self, done: Callable[[bool], object], failed: Callable[[AiNanoError], object]) -> None:
        """The chosen Nano for its models; `done` gets whether there are any."""
        name = self.nano

        def told(models: Models) -> None:
            self._there[name] = models
            self._list_models()
            done(bool(models))

        self._session.models_on(name, told, failed)

    def forget(self) -> None:
        self._there, self._proposed = {}, None
        self._model.clear()

    def _list_models(self, chosen: str = "") -> None:
        chosen = chosen or self.model
        names = [str(one["model"]) for one in self._there.get(self.nano, ())]
        if chosen and chosen not in names:
            names.insert(0, chosen)
        self._model.clear()
        self._model.addItems(names)
        self._model.setCurrentText(chosen)

    def _on_nano(self) -> None:
        self._model.clear()
        self._list_models()
        self._changed()
