"""The cards of the recording page, one below the other: as many as the project has classes or is to have."""

import functools
from collections.abc import Iterator, Sequence

from PyQt5.QtCore import QObject, QTimer, pyqtSignal
from PyQt5.QtWidgets import QPushButton, QScrollArea, QVBoxLayout

from ai_nano.core.errors import AiNanoError
from ai_nano.core.project import class_list
from ai_nano.gui.card_images import CardImages
from ai_nano.gui.session import Session
from ai_nano.gui.takes import Take
from ai_nano.gui.widgets.class_card import ClassCard
from ai_nano.gui.widgets.hold_button import HoldButton

# The stylesheet costs each card its moment: of twenty, the last ones come while the first can be used.
CARDS_AT_ONCE = 2


class CardColumn(QObject):
    """Creates and renames classes; what concerns images it passes on, with the class's name.

    `import_wanted`: True for a folder, False for files. `dropped`: a list of Path. `choice_changed`: another card is chosen.
    """

    choice_changed = pyqtSignal()
    held = pyqtSignal(str)
    let_go = pyqtSignal()
    toggled = pyqtSignal(str)
    import_wanted = pyqtSignal(str, bool)
    dropped = pyqtSignal(str, list)
    show_all_wanted = pyqtSignal(str)
    classes_changed = pyqtSignal()

    def __init__(self, session: Session, images: CardImages, scroll: QScrollArea, layout: QVBoxLayout,
                 add: QPushButton) -> None:
        """`layout`: where the cards stand, inside of `scroll`; `add`: the button below them."""
        super().__init__(scroll)
        self._session, self._images = session, images
        self._scroll, self._layout, self._add_button = scroll, layout, add
        self._cards: list[ClassCard] = []
        self._target = 1
        self._chosen: ClassCard | None = None
        # More empty cards than the project asks for, and classes that are being created.
        self._extra = self._creating = 0
        self._building = False
        add.clicked.connect(self._on_add_class)

    def __iter__(self) -> Iterator[ClassCard]:
        return iter(self._cards)

    @property
    def chosen(self) -> ClassCard | None:
        """The card that keys are for; it has a class."""
        return self._chosen

    @property
    def chosen_class(self) -> str | None:
        return self._chosen.class_name if self._chosen is not None else None

    def of_class(self, name: str | None) -> ClassCard | None:
        return next((card for card in self._cards if name is not None and card.class_name == name), None)

    # ---- showing -----------------------------------------------------------------------------------------------------

    def retranslate(self) -> None:
        for card in self._cards:
            card.retranslate()

    def reset(self) -> None:
        """Another workspace."""
        self._forget(self._cards)
        self._cards, self._chosen, self._extra, self._creating = [], None, 0, 0

    def show_target(self, target: int) -> None:
        self._target = target
        for card in self._cards:
            card.show_target(target)

    def show_state(self, now: Take | None, may_start: bool) -> None:
        """`now`: what is recorded."""
        busy = any(self._session.is_running(step) for step in ("record", "import"))
        for card in self._cards:
            kind = now.kind if now is not None and card.class_name == now.class_name else None
            card.show_state(kind, card.class_name is not None and may_start, not busy)

    def look(self, names: Sequence[str | None] | None = None) -> None:
        """At the images of these classes; None: of all."""
        for card in self._cards:
            if names is None or card.class_name in names:
                self._images.look_at(card)

    def arrange(self) -> None:
        """On each card its class, after the workspace has changed."""
        workspace = self._session.workspace
        if workspace is None or self._creating:
            return
        wanted = max(2, workspace.planned_classes, len(workspace.classes) + self._extra)
        self._forget(self._cards[wanted:])
        self._cards = self._cards[:wanted]
        for _ in range(min(CARDS_AT_ONCE, wanted - len(self._cards))):
            self._add_card()
        for position, card in enumerate(self._cards):
            name = workspace.classes[position] if position < len(workspace.classes) else None
            if card.class_name != name:
                card.show_class(name)
                self._images.look_at(card)
        if self._chosen not in self._cards or self.chosen_class is None:
            self.choose(next((card for card in self._cards if card.class_name is not None), None))
        self._add_button.setVisible(len(self._cards) == wanted and all(card.class_name is not None for card in self._cards))
        if len(self._cards) < wanted and not self._building:
            self._building = True
            QTimer.singleShot(0, self._build_more)

    def _build_more(self) -> None:
        self._building = False
        self.arrange()
        self.classes_changed.emit()

    def _forget(self, cards: Sequence[ClassCard]) -> None:
        for card in cards:
            self._layout.removeWidget(card)
            card.deleteLater()

    def _add_card(self) -> None:
        card = ClassCard(len(self._cards) + 1)
        card.show_target(self._target)
        card.create_wanted.connect(functools.partial(self._on_create, card))
        card.rename_wanted.connect(functools.partial(self._on_rename, card))
        card.chosen.connect(functools.partial(self.choose, card))
        card.held.connect(lambda: self.held.emit(card.class_name))
        card.let_go.connect(self.let_go)
        card.toggled.connect(functools.partial(self._on_toggle, card))
        card.import_wanted.connect(lambda folder: self.import_wanted.emit(card.class_name, folder))
        card.dropped.connect(lambda paths: self.dropped.emit(card.class_name, paths))
        card.thrown_away.connect(lambda place: self._images.remove(card.class_name or "", [card.newest[place]]))
        card.take_thrown_away.connect(lambda: self._images.remove_last_take(card.class_name or ""))
        card.thumbnails.room_changed.connect(lambda: self._images.look_at(card))
        card.show_all_wanted.connect(lambda: self.show_all_wanted.emit(card.class_name))
        self._layout.insertWidget(len(self._cards), card)
        self._cards.append(card)

    # ---- choosing ----------------------------------------------------------------------------------------------------

    def choose(self, card: ClassCard | None) -> None:
        self._chosen = card
        for one in self._cards:
            one.show_chosen(one is card)
        self.choice_changed.emit()

    def choose_focused(self, focus: object) -> None:
        """The card whose button has the focus, if one has."""
        if isinstance(focus, HoldButton):
            card = next((card for card in self._cards if card.isAncestorOf(focus)), None)
            if card is not None:
                self.choose(card)

    def choose_number(self, number: int) -> None:
        """As it stands in the card's ring; nothing where that card has no class."""
        if number <= len(self._cards) and self._cards[number - 1].class_name is not None:
            card = self._cards[number - 1]
            self.choose(card)
            card.setFocus()
            self._scroll.ensureWidgetVisible(card)

    def _on_toggle(self, card: ClassCard) -> None:
        self.choose(card)
        self.toggled.emit(card.class_name)

    # ---- classes -----------------------------------------------------------------------------------------------------

    def _on_add_class(self) -> None:
        self._extra = 1
        self.arrange()
        self.classes_changed.emit()
        card = self._cards[-1]
        card.name.setFocus()
        QTimer.singleShot(0, lambda: self._scroll.ensureWidgetVisible(card))

    def _on_create(self, card: ClassCard, raw: str) -> None:
        workspace = self._session.workspace
        if workspace is None:
            return
        # The cards keep the places that the student gave them, as long as some are empty.
        position = sum(1 for one in self._cards[:self._cards.index(card)] if one.class_name is not None)
        self._creating += 1

        def done(name: str) -> None:
            if workspace is not self._session.workspace:
                return
            self._creating -= 1
            self._extra = 0
            self._cards.remove(card)
            self._cards.insert(position, card)
            self._layout.insertWidget(position, card)
            for number, one in enumerate(self._cards, 1):
                one.set_number(number)
            self._show_named(card, name)
            self.choose(card)
            card.setFocus()

        def failed(error: AiNanoError) -> None:
            if workspace is self._session.workspace:
                self._creating -= 1
                card.show_trouble(error)

        self._session.look(lambda: workspace.add_class(raw, position), done, failed)

    def _on_rename(self, card: ClassCard, new: str) -> None:
        workspace, old = self._session.workspace, card.class_name
        if workspace is None or old is None:
            return

        def done(name: str) -> None:
            if workspace is self._session.workspace:
                self._show_named(card, name)

        def failed(error: AiNanoError) -> None:
            card.show_old_name()
            card.show_trouble(error)

        self._session.change("classes", lambda there: class_list.rename(there, old, new), done, failed)

    def _show_named(self, card: ClassCard, name: str) -> None:
        card.show_class(name)
        self._images.look_at(card)
        self._session.refresh()
        self.arrange()
        self.classes_changed.emit()
