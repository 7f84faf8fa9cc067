"""The one stylesheet, made from the tokens."""

from dataclasses import asdict
from string import Template

from ai_nano.gui.style.tokens import Tokens

_SHEET = Template("""
QWidget { color: $text; font-size: ${font_pt}pt; }
QMainWindow, QDialog, QWidget[role="page"], QStackedWidget, QSplitter { background: $window; }
QDialog { border: 1px solid $border; }
QToolTip { background: $surface; color: $text; border: 1px solid $border; padding: 4px; }
QFrame[role="side"] { background: $side; border: none; border-right: 1px solid $border; }
QFrame[role="card"] { background: $surface; border: 1px solid $border; border-radius: ${radius}px; }
QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }

QLabel { background: transparent; }
QLabel[role="title"] { font-size: ${title_pt}pt; font-weight: 600; }
QLabel[role="lead"], QLabel[role="note"], QLabel[role="field"] { color: $muted; }
QLabel[role="heading"] { font-size: ${heading_pt}pt; font-weight: 600; }
QLabel[role="project"] { font-size: ${heading_pt}pt; font-weight: 600; }
QLabel[role="big"] { font-size: ${big_pt}pt; font-weight: 600; }
QLabel[role="figure"] { font-weight: 600; }
QLabel[role="trouble"] { color: $bad; }
QLabel[role="worry"] { color: $warn; }
QLabel[role="badge"] { background: $accent_soft; color: $accent; border-radius: 11px; font-weight: 600; padding: 2px 8px; }

QPushButton, QToolButton { background: $surface; border: 1px solid $strong_border; border-radius: 6px; padding: 6px 14px; }
QToolButton { padding: 5px; }
QToolButton::menu-indicator { image: none; }
QPushButton:hover, QToolButton:hover { border-color: $accent; color: $accent; }
QPushButton:focus, QToolButton:focus { border: 2px solid $accent; padding: 5px 13px; }
QToolButton:focus { padding: 4px; }
MachineChips QToolButton { border: none; background: transparent; padding: 3px 8px; font-size: ${small_pt}pt; }
MachineChips QToolButton:focus { border: 1px solid $accent; padding: 2px 7px; }
QPushButton:disabled, QToolButton:disabled { color: $muted; border-color: $border; background: $window; }
QPushButton[role="primary"] { background: $accent; color: $on_accent; border-color: $accent; font-weight: 600; }
QPushButton[role="primary"]:hover { background: $accent_hover; border-color: $accent_hover; color: $on_accent; }
QPushButton[role="primary"]:focus { border: 2px solid $text; }
QPushButton[role="primary"]:disabled { background: $border; color: $muted; border-color: $border; }
QPushButton[role="danger"] { border-color: $bad; color: $bad; }
QPushButton[role="danger"]:hover { background: $bad; color: $on_bad; }
QPushButton[role="danger"]:disabled { color: $muted; border-color: $border; }
QPushButton[role="plain"] { border: none; background: transparent; color: $accent; padding: 4px 8px; }
QPushButton[role="plain"]:hover { color: $accent_hover; }
QPushButton[role="plain"]:focus { border: 1px solid $accent; padding: 3px 7px; }
QPushButton[role="plain"]:disabled { color: $muted; }

QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QListWidget, QListView[role="choice"], QTableWidget {
    background: $field; border: 1px solid $strong_border; border-radius: 6px; padding: 5px 8px;
    selection-background-color: $accent; selection-color: $on_accent; }
QLineEdit:focus, QAbstractSpinBox:focus, QComboBox:focus, QListWidget:focus { border: 2px solid $accent; padding: 4px 7px; }
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled { color: $muted; background: $window; border-color: $border; }
QLineEdit[readOnly="true"] { background: transparent; border-color: transparent; font-weight: 600; }
QLineEdit[role="command"] { background: $field; border-color: $border; font-weight: 400; font-size: ${small_pt}pt;
    font-family: "DejaVu Sans Mono", "Menlo", "Consolas", monospace; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 18px; border: none; background: transparent; }
QAbstractSpinBox::up-arrow { image: url($icons/up.svg); width: 10px; height: 10px; }
QAbstractSpinBox::down-arrow { image: url($icons/down.svg); width: 10px; height: 10px; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: url($icons/down.svg); width: 10px; height: 10px; }
QComboBox QLineEdit { border: none; padding: 0; background: transparent; }
QComboBox QAbstractItemView { background: $surface; border: 1px solid $strong_border; padding: 4px;
    selection-background-color: $accent_soft; selection-color: $text; }
QListView[role="choice"]:focus { border: 2px solid $accent; padding: 4px 7px; }
QListView[role="choice"]::item:selected { background: $accent_soft; border-radius: 6px; }
QListView[role="choice"] QLineEdit { padding: 2px 6px; }
RecentList { padding: 2px; }
RecentList:focus { padding: 1px; }
QListWidget[role="choice"]::item { padding: 8px 10px; border-radius: 6px; }
QListWidget[role="choice"]::item:selected { background: $accent_soft; color: $text; }
QTableWidget { background: $surface; alternate-background-color: $window; padding: 0; border-color: $border; }
QTableWidget::item { padding: 6px 10px; border: none; }
QTableWidget::item:selected { background: $accent_soft; color: $text; }
QHeaderView { background: $surface; }
QHeaderView::section { background: $surface; color: $muted; border: none; border-bottom: 1px solid $border;
    padding: 8px 10px; font-weight: 600; }
QTableCornerButton::section { background: $surface; border: none; }
QCheckBox::indicator { width: 16px; height: 16px; border: 1px solid $strong_border; border-radius: 4px; background: $field; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url($icons/tick.svg); }
QCheckBox:focus, QRadioButton:focus { color: $accent; }
QRadioButton { font-weight: 600; spacing: 8px; }
QRadioButton::indicator { width: 14px; height: 14px; border: 1px solid $strong_border; border-radius: 8px; background: $field; }
QRadioButton::indicator:checked { width: 6px; height: 6px; border: 5px solid $accent; border-radius: 8px;
    background: $on_accent; }
QRadioButton::indicator:disabled { border-color: $border; }
QRadioButton::indicator:checked:disabled { border-color: $muted; }
QRadioButton:disabled { color: $muted; }
QToolButton[role="fold"] { border: none; background: transparent; color: $accent; padding: 4px 8px; }
QToolButton[role="more"] { border: none; background: transparent; color: $muted; padding: 3px 6px; }
QToolButton[role="more"]:hover { color: $accent; background: $accent_soft; }
QToolButton[role="more"]:focus { border: 1px solid $accent; padding: 2px 5px; }
QToolButton[role="fold"]:focus { border: 1px solid $accent; padding: 3px 7px; }
QListWidget[role="pictures"] { background: transparent; border: none; padding: 0; }
QListView[role="gallery"] { background: $window; border: none; padding: 0; }

QTabBar { background: transparent; }
QTabBar::tab { background: transparent; color: $muted; padding: 6px 4px; margin-right: 18px; border: none;
    border-bottom: 2px solid transparent; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $accent; border-bottom-color: $accent; }
QTabBar::tab:focus { color: $accent_hover; border-bottom-color: $text; }

QProgressBar { background: $border; border: none; border-radius: 4px; max-height: 8px; min-height: 8px; }
QProgressBar::chunk { background: $accent; border-radius: 4px; }
QScrollBar:vertical { background: transparent; width: 12px; margin: 2px; }
QScrollBar::handle:vertical { background: $strong_border; border-radius: 4px; min-height: 28px; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 2px; }
QScrollBar::handle:horizontal { background: $strong_border; border-radius: 4px; min-width: 28px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QSplitter::handle { background: $border; height: 1px; }
QMenu { background: $surface; border: 1px solid $strong_border; padding: 6px; }
QMenu::item { padding: 6px 22px; border-radius: 4px; }
QMenu::item:selected { background: $accent_soft; color: $text; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $border; margin: 5px 8px; }
QStatusBar { background: $side; border-top: 1px solid $border; }
QStatusBar::item { border: none; }

RailItem, RailItem:disabled { background: transparent; border: none; border-left: 4px solid transparent; border-radius: 0; }
RailItem:hover { background: $window; }
RailItem:focus { background: $window; border-left-color: $strong_border; }
RailItem:checked { background: $accent_soft; border-left-color: $accent; }
RailItem QLabel[role="name"] { font-weight: 600; }
RailItem QLabel[role="fact"] { color: $muted; font-size: ${small_pt}pt; }
RailItem QLabel[role="faded"] { color: $muted; }

ClassCard[role="card"] { border-width: 2px; }
ClassCard[chosen="true"] { border-color: $accent; }
ClassCard[recording="true"] { border-color: $bad; }
ClassCard[drop="true"] { border: 2px dashed $accent; background: $accent_soft; }
ClassCard QToolButton { font-weight: 600; }
QLineEdit[role="classname"] { background: transparent; border-color: transparent; font-weight: 600; }
QLineEdit[role="classname"]:hover:!read-only { border-color: $strong_border; }
QLineEdit[role="classname"]:focus { background: $field; border-color: $accent; }
QPushButton[role="hold"] { background: $accent; color: $on_accent; border-color: $accent; font-weight: 600; }
QPushButton[role="hold"]:hover { background: $accent_hover; border-color: $accent_hover; color: $on_accent; }
QPushButton[role="hold"]:focus { border: 2px solid $text; }
QPushButton[role="hold"][recording="true"] { background: $bad; border-color: $bad; color: $on_bad; }
QPushButton[role="hold"]:disabled { background: $border; color: $muted; border-color: $border; }
Toast { background: $text; border: none; border-radius: ${radius}px; }
Toast QLabel { color: $window; }
QPushButton[role="toast"] { background: transparent; color: $window; border: 1px solid $window; padding: 4px 12px;
    font-weight: 600; }
QPushButton[role="toast"]:hover { background: $window; color: $text; }

TaskBar { background: transparent; }
HintBox { background: $accent_soft; border: none; border-radius: ${radius}px; }
HintBox QLabel[role="advice"] { color: $text; }
ErrorBox { background: $bad_soft; border: 1px solid $bad; border-radius: ${radius}px; }
ErrorBox[level="warning"] { background: $warn_soft; border-color: $warn; }
ErrorBox QLabel[role="what error"] { color: $bad; font-weight: 600; }
ErrorBox QLabel[role="what warning"] { color: $warn; font-weight: 600; }
LogPanel { background: $surface; border: none; }
LogPanel QPlainTextEdit { background: $surface; border: none; font-family: "DejaVu Sans Mono", "Menlo", "Consolas", monospace;
    font-size: ${small_pt}pt; padding: 0 26px; }
StagePanel { background: $window; border-top: 1px solid $border; }
StagePanel QToolButton[role="cardbutton"] { padding: 2px; font-size: 8pt; border: 2px solid $border; border-radius: 8px;
    background: $surface; }
StagePanel QToolButton[role="cardbutton"]:checked { border-color: $accent; background: $accent_soft; }
StagePanel QToolButton[role="cardbutton"]:hover { border-color: $accent; }
StagePanel QToolButton[role="cardbutton"]:focus { border-color: $accent; }
""")


def stylesheet(tokens: Tokens, icons: str) -> str:
    """`icons`: the folder in which style.icons has written the small pictures of spin boxes and combo boxes."""
    return _SHEET.substitute(asdict(tokens), icons=icons)
