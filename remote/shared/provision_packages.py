"""What an environment needs, and what it lacks.

The lines are those of the requirements.txt files: `name==1.2` or `name>=1.2`, maybe with `; python_version < "3.7"` (or `>=`).
"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from shared.provision_python import Interpreter, Package
from shared.wire import Failure

LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*?)\s*(?:(==|>=)\s*([0-9][0-9A-Za-z.+!*]*))?\s*"
                  r"(?:;\s*python_version\s*(<|>=)\s*['\"](\d+)\.(\d+)['\"])?\s*\Z")
TORCH, TORCHVISION = "torch", "torchvision"
# A torch that loads and is at least this one is nobody's to replace: it may be built for just this GPU, or be NVIDIA's own.
OLDEST_TORCH = (2, 1)
# The Pythons for which the pins in requirements.txt are meant.
PINNED_FROM, PINNED_TO = (3, 10), (3, 13)
# Under which other names a package comes.
ALSO = {"opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless", "opencv"),
        "onnxruntime": ("onnxruntime-gpu",)}
MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL"}


class Requirement(NamedTuple):
    """One line; operator and version are empty where any version will do."""

    name: str
    operator: str
    version: str
    marker: Tuple[str, int, int] = (">=", 3, 0)

    def holds(self, python: Interpreter) -> bool:
        operator, major, minor = self.marker
        return (python.version[:2] < (major, minor)) == (operator == "<")

    @property
    def line(self) -> str:
        return self.name + self.operator + self.version

    @property
    def module(self) -> str:
        return MODULES.get(self.name, self.name.replace("-", "_"))

    def takes(self, version: str) -> bool:
        if not self.operator:
            return True
        mine, given = release(self.version), release(version)
        longest = max(len(mine), len(given))
        mine, given = mine + (0,) * (longest - len(mine)), given + (0,) * (longest - len(given))
        return given == mine if self.operator == "==" else given >= mine


class Group(NamedTuple):
    """Lines for one call of pip; `deps` false: they alone, whatever they say that they need."""

    lines: List[str]
    deps: bool = True


class Plan(NamedTuple):
    """What is to be done: groups to install, distributions whose remains go before that, and versions that stay."""

    groups: List[Group]
    remains: List[Package]
    constraints: List[str]

    @property
    def names(self) -> List[str]:
        return [canonical(re.split("[=<>]", line)[0]) for group in self.groups for line in group.lines]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def release(version: str) -> Tuple[int, ...]:
    """`2.1.0a0+nv23.6` is (2, 1, 0): what a vendor adds to a version does not make it another one."""
    match = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


def read(lines: List[str]) -> List[Requirement]:
    """Raises Failure provision.bad_line {line}."""
    found = []
    for line in lines:
        match = LINE.match(line.strip())
        if match is None:
            raise Failure("provision.bad_line", line=line)
        name, operator, version, sign, major, minor = match.groups()
        found.append(Requirement(canonical(name), operator or "", version or "",
                                 (sign, int(major), int(minor)) if sign else (">=", 3, 0)))
    return found


def there(wanted: Requirement, python: Interpreter) -> Optional[Package]:
    """The distribution that is, or stands for, what is wanted, whatever its version."""
    for name in (wanted.name, *ALSO.get(wanted.name, ())):
        if name in python.packages:
            return python.packages[name]
    return None


def damaged(package: Package, python: Interpreter) -> bool:
    """Of the environment's own packages alone: what others have installed is as they want it."""
    return python.own(package) and not package.whole


def satisfied(wanted: Requirement, python: Interpreter) -> bool:
    found = there(wanted, python)
    if found is None or damaged(found, python):
        return False
    if wanted.name == TORCH:
        return release(found.version) >= OLDEST_TORCH or wanted.takes(found.version)
    if wanted.name == TORCHVISION:  # its compiled part is not used, so that none is too old or too new
        return True
    return wanted.takes(found.version)


def plan(wanted: List[Requirement], python: Interpreter, before: Optional[Dict[str, str]] = None) -> Plan:
    """`before`: the environment's own packages when it was last whole, of which none may be lost."""
    wanted = [each for each in wanted if each.holds(python)]
    lacking = [each for each in wanted if not satisfied(each, python)]
    names = {each.name for each in wanted}
    lines, alone = [], []
    for each in lacking:
        if each.name == TORCHVISION and TORCH not in {other.name for other in lacking} and TORCH in python.packages:
            alone += [_torchvision_for(python.packages[TORCH].version)]
            lines += [] if "pillow" in python.packages else ["pillow"]
        else:
            lines.append(_line(each, python))
    lost = []
    for name, version in sorted((before or {}).items()):
        if name not in names and (name not in python.packages or damaged(python.packages[name], python)):
            lost.append(f"{name}=={version.partition('+')[0]}")
    groups = [group for group in (Group(lines), Group(alone, False), Group(lost, False)) if group.lines]
    doomed = [python.packages.get(one) for one in [each.name for each in lacking] + [line.partition("==")[0] for line in lost]]
    remains = [one for one in doomed if one is not None and damaged(one, python)]
    kept = [there(each, python) for each in wanted if satisfied(each, python)]
    constraints = [f"{_name(one)}=={one.version}" for one in kept if one is not None]
    return Plan(groups, remains, constraints)


def _name(package: Package) -> str:
    return canonical(re.split(r"-\d", package.path.rpartition("/")[2])[0])


def _line(wanted: Requirement, python: Interpreter) -> str:
    """The pins are for the Pythons of today; older and newer ones get what there is for them."""
    pinned = PINNED_FROM <= python.version[:2] <= PINNED_TO
    if pinned or wanted.name not in (TORCH, TORCHVISION):
        return wanted.line
    return "torch>=2.1" if wanted.name == TORCH else TORCHVISION


def _torchvision_for(torch: str) -> str:
    """torch 2.N goes with torchvision 0.(N + 15); what is no release of 2 gets any."""
    numbers = release(torch)
    return f"torchvision==0.{numbers[1] + 15}.*" if len(numbers) > 1 and numbers[0] == 2 else TORCHVISION
