"""Docker's command line, as far as it is used to run jetson-inference's image; doc/design/container.md says why so."""

import grp
import os
import re
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from jetson_nano import system
from shared.wire import Failure

AUTO = "auto"
RELEASE = Path("/etc/nv_tegra_release")
REVISION = re.compile(r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*(\d+)\.(\d+)")
# The first release of Jetson Linux for which there is an image.
FIRST = (32, 4)
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}\Z")
# From an SD card the first start of an image of some GB takes its time.
START_S = 120.0
LABEL = "ai_nano"
DEVICE_GROUPS = ("video", "render")

# What the client says on standard error; older and newer releases.
NO_PERMISSION = re.compile(r"permission denied.*(docker daemon socket|docker api|docker\.sock)", re.I)
NO_DAEMON = re.compile(r"cannot connect to the docker daemon|failed to connect to the docker api", re.I)
NO_IMAGE = re.compile(r"no such image|no such object|unable to find image", re.I)
NO_RUNTIME = re.compile(r"unknown (?:or invalid )?runtime (?:name|specified)", re.I)


class Mount(NamedTuple):
    """A file or folder of the host that the container has too, at `target`."""

    source: str
    target: str
    writable: bool = False

    def words(self) -> List[str]:
        """Not --volume: that makes an empty folder, as root, of what is not there, and no path may have a colon."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"] + ([] if self.writable else ["readonly"])
        return ["--mount", ",".join(map(_quoted, fields))]


def _quoted(field: str) -> str:
    """Docker reads the value as one line of CSV."""
    return '"' + field.replace('"', '""') + '"' if re.search(r'[,"\n]', field) else field


def tag(release: str) -> str:
    """The image's tag for a board with that /etc/nv_tegra_release. Raises Failure container.no_l4t, container.too_old."""
    found = REVISION.match(release)
    if found is None:
        raise Failure("container.no_l4t", file=str(RELEASE))
    major, minor, patch = (int(each) for each in found.groups())
    if (major, minor) < FIRST:
        raise Failure("container.too_old", release=f"R{major}.{minor}.{patch}")
    if (major, minor) == (32, 5):
        return "r32.5.0"
    if (major, minor) == (32, 7):
        return "r32.7.1"
    if major == 35 and minor > 4:
        return "r35.4.1"
    return f"r{major}.{minor}.{patch}"


def names(wanted: str) -> List[str]:
    """Images that will do, the best first. Raises Failure infer.bad_params, container.no_l4t, container.too_old."""
    if not IMAGE.match(wanted):
        raise Failure("infer.bad_params", key="container")
    if wanted != AUTO:
        return [wanted]
    try:
        text = RELEASE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    # An image of that name without owner is one that was built on the board.
    return [f"{owner}jetson-inference:{tag(text)}" for owner in ("", "dustynv/")]


def find_image(wanted: str) -> str:
    """The image that is there. Raises Failure container.no_image and those of `names` and `ask`. Nothing is downloaded."""
    tried = names(wanted)
    for name in tried:
        said = system.ask(["docker", "image", "inspect", "--format", "{{.Id}}", name])
        if said.code == 0:
            return name
        if not NO_IMAGE.search(said.errors):
            raise _failure(said, name)
    raise Failure("container.no_image", image=tried[-1], command=f"docker pull {tried[-1]}")


def start(name: str, image: str, label: str, mounts: Sequence[Mount], environment: Sequence[Tuple[str, str]], folder: str,
          command: Sequence[str]) -> None:
    """Starts a container that removes itself when its command has ended. Raises Failure container.no_runtime and the others."""
    words = ["docker", "run", "--detach", "--rm", "--name", name, "--label", f"{LABEL}={label}", "--runtime", "nvidia",
             "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"]
    for group in _groups():
        words += ["--group-add", str(group)]
    for device in sorted(Path("/dev").glob("video[0-9]*")):
        words += ["--device", str(device)]
    for mount in mounts:
        words += mount.words()
    for key, value in environment:
        words += ["--env", f"{key}={value}"]
    said = system.ask(words + ["--workdir", folder, image] + list(command), timeout_s=START_S)
    if said.code != 0:
        remove(name)
        raise _failure(said, image)


def _groups() -> List[int]:
    """By number: the image has names of its own. Those that own the camera and the GPU's devices."""
    found = []
    for name in DEVICE_GROUPS:
        try:
            found.append(grp.getgrnam(name).gr_gid)
        except KeyError:
            pass
    return found


def running(name: str) -> bool:
    said = system.ask(["docker", "container", "inspect", "--format", "{{.State.Running}}", name])
    return said.code == 0 and said.output.strip() == "true"


def remove(name: str) -> None:
    """Whatever it does at the moment."""
    system.ask(["docker", "rm", "--force", name])


def never_started() -> List[Tuple[str, str]]:
    """(name, label) of those of ours that were made and not started: who started them was killed in between."""
    said = system.ask(["docker", "ps", "--all", "--filter", f"label={LABEL}", "--filter", "status=created", "--format",
                       f'{{{{.Names}}}} {{{{.Label "{LABEL}"}}}}'])
    lines = [line.partition(" ") for line in said.output.splitlines()] if said.code == 0 else []
    return [(name, label) for name, _, label in lines]


def _failure(said: system.Said, image: str) -> Failure:
    told = said.errors
    if said.code == 127 and system.find("docker") is None:
        return Failure("container.no_docker")
    if NO_PERMISSION.search(told):
        return Failure("container.no_permission", login=system.login())
    if NO_DAEMON.search(told):
        return Failure("container.no_daemon")
    if NO_RUNTIME.search(told):
        return Failure("container.no_runtime")
    return Failure("container.failed", image=image, error=_reason(told) or said.last_words)


def _reason(told: str) -> Optional[str]:
    """Docker ends with a hint at its help."""
    lines = [line.strip() for line in told.splitlines() if line.strip() and not line.startswith("See 'docker")]
    return lines[-1][:300] if lines else None
