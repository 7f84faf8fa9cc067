"""What came of preparing a machine, and the lines that its owner has to type as root.

The machine says which things are missing; the lines are made here, of words that are ours: nobody pastes into a root shell
what a machine has made up.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import Message, Nonsense, optional
from ai_nano.core.texts import known, t

MOST = 300
MOST_GROUPS = 10
SWAP_FILE = "/var/swapfile"
UDEV_FILE = "/etc/udev/rules.d/99-gpio.rules"
BROUGHT_RULE = "/opt/nvidia/jetson-gpio/etc/99-gpio.rules"
GROUPS = ("video", "gpio", "docker")
SYSTEMCTLS = ("/bin/systemctl", "/usr/bin/systemctl")
# Of Jetson.GPIO (99-gpio.rules): the group gpio may use the header, by the old interface and the new one.
_RULES = (
    'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", ACTION=="add", PROGRAM="/bin/sh -c \'chown root:gpio /sys/class/gpio/export '
    '/sys/class/gpio/unexport ; chmod 220 /sys/class/gpio/export /sys/class/gpio/unexport\'"',
    'SUBSYSTEM=="gpio", KERNEL=="gpio*", ACTION=="add", PROGRAM="/bin/sh -c \'chown root:gpio /sys%p/active_low '
    '/sys%p/direction /sys%p/edge /sys%p/value ; chmod 660 /sys%p/active_low /sys%p/direction /sys%p/edge /sys%p/value\'"',
    'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"',
)

_LINE = re.compile(r"[a-z0-9][a-z0-9-]{0,80}(?:(?:==|>=)[0-9][0-9a-z.!]{0,40}(?:\.\*)?)?")
_PYTHON = re.compile(r"3\.[0-9]{1,2}")
_ABI = re.compile(r"cp3[0-9]{1,2}[a-z]?")
_KIND = re.compile(r"[a-z0-9_]{1,20}")


@dataclass(frozen=True)
class Group:
    """Lines of requirements that are looked for together; `deps`: with what they need."""

    lines: tuple[str, ...]
    deps: bool


@dataclass(frozen=True)
class Wants:
    """What the machine cannot get for itself: pip, wheels, or both, for this interpreter and this kind of machine."""

    pip: bool
    wheels: bool
    groups: tuple[Group, ...]
    constraints: tuple[str, ...]
    python: str
    abi: str
    machine: str
    glibc: tuple[int, int]


@dataclass(frozen=True)
class Need:
    """What only root can do there: a sentence, and the lines to type."""

    code: str
    text: str
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "text": self.text, "commands": list(self.lines)}


@dataclass(frozen=True)
class Prepared:
    """`done` are sentences, empty where all was there already; with `dry` they are what would be done."""

    machine: str
    dry: bool
    done: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    python: str | None = None
    environment: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    wants: Wants | None = None

    @property
    def block(self) -> str:
        """What is to be typed there as root, in one piece that can be pasted; empty where nothing is."""
        return "\n".join(line for need in self.needs for line in (f"# {need.text}", *need.lines))

    @property
    def text(self) -> str:
        if self.done:
            return t("provision.would" if self.dry else "provision.prepared", machine=self.machine)
        return t("provision.nothing_to_do", machine=self.machine)

    def to_json(self) -> dict[str, Any]:
        return {"machine": self.machine, "dry_run": self.dry, "done": list(self.done), "python": self.python,
                "environment": self.environment, "packages": dict(self.packages),
                "needs": [one.to_json() for one in self.needs]}


def read(result: Message, machine: str, login: str) -> Prepared:
    """The result of gpu_server/provision.py or jetson_nano/provision.py. MachineError for nonsense."""
    with answers.reading(machine):
        dry = answers.flag(result, "dry_run")
        done = tuple(_sentence(one, dry, machine) for one in answers.objects(result, "done", MOST))
        needs = [_need(one, login) for one in answers.objects(result, "needs", MOST)]
        given = answers.mapping(result, "packages", MOST)
        wants = optional(answers.mapping, result, "wants")
        return Prepared(machine, dry, done, tuple(one for one in needs if one is not None),
                        optional(answers.text, result, "python", longest=40), optional(answers.text, result, "environment"),
                        {answers.shown(name, 80): answers.text(given, name, 80) for name in given},
                        None if wants is None else _wants(wants))


def _sentence(one: Message, dry: bool, machine: str) -> str:
    code = f"provision.{'would' if dry else 'did'}.{answers.code(one)}"
    return t(code, **{"machine": machine, **answers.params(one)}) if known(code) else answers.code(one)


def _wants(raw: Message) -> Wants:
    groups = tuple(Group(_matching(one, "lines", _LINE), answers.flag(one, "deps"))
                   for one in answers.objects(raw, "groups", 10))
    glibc = answers.items(raw, "glibc", 2)
    if len(glibc) != 2:
        raise Nonsense("glibc")
    low, high = (answers.count({"n": number}, "n", 0, 99) for number in glibc)
    return Wants(answers.flag(raw, "pip"), answers.flag(raw, "wheels"), groups, _matching(raw, "constraints", _LINE),
                 _word(raw, "python", _PYTHON), _word(raw, "abi", _ABI), _word(raw, "machine", _KIND), (low, high))


def _matching(raw: Message, key: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """They become words of a command here: what is no requirement by its looks is refused."""
    found = answers.texts(raw, key, MOST, 140)
    if not all(pattern.fullmatch(one) for one in found):
        raise Nonsense(key)
    return tuple(found)


def _word(raw: Message, key: str, pattern: re.Pattern[str]) -> str:
    word = answers.text(raw, key, 40)
    if pattern.fullmatch(word) is None:
        raise Nonsense(key)
    return word


# ---- what needs root -------------------------------------------------------------------------------------------------


def _need(raw: Message, login: str) -> Need | None:
    """None for a kind that this version does not know."""
    code, params = answers.code(raw), answers.mapping(raw, "params", 10)
    match code:
        case "groups":
            lacking = _of(params, "groups", GROUPS)
            lines = [f"sudo groupadd --force {name}" for name in _of(params, "unknown", GROUPS)]
            lines.append(f"sudo usermod --append --groups {','.join(lacking)} {shlex.quote(login)}")
            return Need(code, t("provision.need.groups", groups=lacking, login=login), tuple(lines))
        case "udev":
            if answers.flag(params, "brought"):
                lines = [f"sudo cp {BROUGHT_RULE} {UDEV_FILE}"]
            else:
                lines = [f"printf '%s\\n' {' '.join(shlex.quote(rule) for rule in _RULES)} | sudo tee {UDEV_FILE} >/dev/null"]
            return Need(code, t("provision.need.udev"), (*lines, "sudo udevadm control --reload-rules && sudo udevadm trigger"))
        case "swap":
            file, at_boot = SWAP_FILE, f"{SWAP_FILE} none swap sw 0 0"
            lines = [f"sudo fallocate -l 4G {file} && sudo chmod 600 {file} && sudo mkswap {file} && sudo swapon {file}",
                     f"grep -q '^{file} ' /etc/fstab || echo '{at_boot}' | sudo tee -a /etc/fstab >/dev/null"]
            return Need(code, t("provision.need.swap", have=answers.count(params, "have_mb")), tuple(lines))
        case "power":
            systemctl = answers.choice(params, "systemctl", SYSTEMCTLS)
            rule = f"{login} ALL=(root) NOPASSWD: {systemctl} poweroff, {systemctl} reboot"
            line = f"printf '%s\\n' {shlex.quote(rule)} | sudo EDITOR=tee visudo -f /etc/sudoers.d/ai_nano >/dev/null"
            return Need(code, t("provision.need.power"), (line,))
        case "linger":
            return Need(code, t("provision.need.linger"), (f"sudo loginctl enable-linger {shlex.quote(login)}",))
    return None


def _of(params: Message, key: str, allowed: Sequence[str]) -> list[str]:
    found = answers.texts(params, key, MOST_GROUPS, 40)
    if not all(one in allowed for one in found):
        raise Nonsense(key)
    return found
