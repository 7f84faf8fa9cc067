"""A bench of boards without screens: their models and who uses them, switching them off, and what starts at boot."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ai_nano.core import answers, names, wire
from ai_nano.core.answers import Message, optional
from ai_nano.core.errors import AiNanoError, BadInput, MachineError, WorkFailed
from ai_nano.core.figures import duration
from ai_nano.core.ports import Machine
from ai_nano.core.room import own_projects, turns
from ai_nano.core.room.turns import Place
from ai_nano.core.texts import known, t

POWER_ACTIONS = ("shutdown", "reboot")
WAYS = ("systemd", "cron", "recorded")
STATES = ("running", "waiting", "yielding", "ended")
# The board said no, for a reason that somebody can mend.
REFUSED = ("autostart.no_way", "models.autostart", "models.older", "models.runs", "power.in_use", "power.no_board",
           "power.not_permitted")
# A board that goes down may take its answer with it: the connection, or the program by HUP, KILL or TERM.
GONE = ("machine.lost", "machine.silent")
ENDED_BY_SIGNAL = (129, 137, 143)
MOST_RUNS = 1000


@dataclass(frozen=True)
class Use:
    """A run that is going on there: whose it is (None: nobody says), of which program, since how many seconds."""

    run: str
    program: str
    student: str | None
    age_s: float

    @property
    def who(self) -> str:
        return self.student or self.run


@dataclass(frozen=True)
class NanoModel:
    """`size` in bytes, `modified` in unix seconds of that machine. `autostart`: it is the one that starts at boot, and how that
    goes (one of STATES); None for every other model."""

    model: str
    path: str
    classes: tuple[str, ...]
    size: int | None
    exported: bool
    modified: float | None
    uses: tuple[Use, ...]
    autostart: str | None
    student: str | None = None
    project: str | None = None
    workspace: str | None = None

    @property
    def text(self) -> str:
        """Who runs it since when, and whether it starts at boot; empty for neither."""
        said = [t("models.running", who=use.who, age=duration(use.age_s)) for use in self.uses]
        return "; ".join(said + ([t("models.at_boot", state=t(f"autostart.state.{self.autostart}"))] if self.autostart else []))

    def to_json(self) -> dict[str, Any]:
        uses = [{"run": use.run, "student": use.student, "program": use.program, "age_s": use.age_s} for use in self.uses]
        return {"model": self.model, "path": self.path, "classes": list(self.classes), "size": self.size,
                "exported": self.exported, "modified": self.modified, "running": uses, "autostart": self.autostart,
                "student": self.student, "project": self.project, "workspace": self.workspace}


@dataclass(frozen=True)
class Autostart:
    """`model` None: nothing starts at boot. `error` is why the last attempt ended, `notes` what a person has still to do."""

    model: str | None = None
    way: str | None = None
    student: str | None = None
    state: str | None = None
    error: AiNanoError | None = None
    notes: tuple[str, ...] = ()

    def text(self, machine: str) -> str:
        """What the machine starts at boot, how that goes, and why the last attempt ended."""
        if self.model is None:
            return t("autostart.none", machine=machine)
        words = t("autostart.on", machine=machine, model=self.model, way=t(f"autostart.way.{self.way}"),
                  state=t(f"autostart.state.{self.state}"))
        error = self.error
        return words if error is None else f"{words}\n{t('autostart.last_error', what=error.what, hint=error.hint)}"

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model, "way": self.way, "student": self.student, "state": self.state,
                "error": self.error.to_json() if self.error else None, "notes": list(self.notes)}


@dataclass(frozen=True)
class Switched:
    """`done` false: the embedded classroom's board only wrote it down. `answered` false: it was gone before it could answer."""

    action: str
    done: bool
    answered: bool = True


# ---- models ----------------------------------------------------------------------------------------------------------


def models(machine: Machine) -> list[NanoModel]:
    """The models of a Nano, which of them is running and who started it, the board's order."""
    return models_and_queue(machine)[0]


def models_and_queue(machine: Machine) -> tuple[list[NanoModel], tuple[Place, ...]]:
    """Its models, and who uses it now: the first has the turn, the others wait."""
    answer = machine.board("models")
    extra: dict[str, tuple[tuple[Use, ...], str | None]] = {}
    with answers.reading(machine.name):
        now = answers.number(answer, "now")
        state = optional(answers.choice, answer, "autostart_state", words=STATES)
        for raw in answers.objects(answer, "models", wire.MOST_MODELS):
            uses = tuple(_use(run, now) for run in answers.objects(raw, "runs", MOST_RUNS))
            extra[answers.path(raw, "path")] = uses, state if answers.flag(raw, "autostart") else None
        queue = turns.places(optional(answers.objects, answer, "queue", most=turns.MOST_PLACES) or ())
    return [NanoModel(one["model"], one["path"], tuple(one["classes"]), one["size"], one["exported"], one["modified"],
                      *extra[one["path"]], one["student"], one["project"], one["workspace"])
            for one in wire.to_models(answer, machine.name)], queue


def delete(machine: Machine, model: str, own: Collection[str] | None = None) -> None:
    """With its engine and all that lies in its folder. MachineError when it runs, starts at boot or is an older program's, and
    where it is of another project than these `own` ones (None: whosever it is)."""
    if not names.is_model_name(model):
        raise BadInput("infer.model_name", model=model)
    if own is not None:
        own_projects.refuse_others(wire.to_models(machine.store("models"), machine.name), model, machine.name, own)
    _ask(machine, "delete", model)


def uses(machine: Machine) -> list[Use]:
    """What laptops run there now, the oldest first."""
    return [Use(run["id"], run["program"], run["student"], run["age_s"]) for run in machine.jobs() if run["state"] == "running"]


def _use(raw: Message, now: float) -> Use:
    started = optional(answers.number, raw, "started")
    return Use(answers.text(raw, "id"), answers.text(raw, "program"), optional(answers.text, raw, "student"),
               max(0.0, now - (started or now)))


# ---- on and off ------------------------------------------------------------------------------------------------------


def power(machine: Machine, action: str, force: bool = False) -> Switched:
    """Shut the board down or reboot it. `force`: also while a laptop's program runs there.

    MachineError `power.in_use` {who}, `power.not_permitted` {line for sudoers}, `power.no_board`; WorkFailed `power.failed`.
    """
    if action not in POWER_ACTIONS:
        raise BadInput("power.bad_action", action=action)
    # So that what is lost afterwards was lost because the board went down.
    machine.store("free")
    try:
        answer = _ask(machine, "power", action, *(["--force"] if force else []))
    except MachineError as error:
        ended = error.code == "machine.no_answer" and error.params.get("status") in ENDED_BY_SIGNAL
        if error.code not in GONE and not ended:
            raise
        return Switched(action, done=True, answered=False)
    with answers.reading(machine.name):
        return Switched(action, answers.flag(answer, "done"))


# ---- at boot ---------------------------------------------------------------------------------------------------------


def autostart_status(machine: Machine) -> Autostart:
    return _autostart(_ask(machine, "autostart", "status"), machine.name)


def autostart_on(machine: Machine, model: str, params: Mapping[str, Any], student: str) -> Autostart:
    """`params` are those of jetson_nano/classify.py. What started at boot before is replaced."""
    document = json.dumps({"model": model, "params": dict(params), "student": student or None}, ensure_ascii=False)
    return _autostart(_ask(machine, "autostart", "on", document), machine.name)


def autostart_off(machine: Machine) -> bool:
    """Whether there was something to remove; nothing of it is left."""
    answer = _ask(machine, "autostart", "off")
    with answers.reading(machine.name):
        return answers.flag(answer, "removed")


def _autostart(answer: Message, machine: str) -> Autostart:
    with answers.reading(machine):
        failed = optional(answers.mapping, answer, "error")
        notes = [note for note in optional(answers.texts, answer, "notes", most=10) or [] if known(note)]
        return Autostart(optional(answers.model, answer, "model"), optional(answers.choice, answer, "way", words=WAYS),
                         optional(answers.text, answer, "student"), optional(answers.choice, answer, "state", words=STATES),
                         answers.error(failed, machine) if failed is not None else None, tuple(notes))


def note_text(note: str, machine: str, login: str) -> str:
    """A note of `Autostart.notes` as a sentence."""
    return t(note, machine=machine, login=login)


def _ask(machine: Machine, operation: str, *words: str) -> Mapping[str, Any]:
    try:
        return machine.board(operation, *words)
    except WorkFailed as error:
        if error.code in REFUSED:
            raise MachineError(error.code, details=error.details, **error.params) from error
        raise
