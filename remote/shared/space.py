"""How much may still be written in a folder: what its file system has free, and what the login's quota leaves.

A file system that knows quotas by project or by folder (XFS, ZFS, CephFS, most NFS appliances) says in statvfs what is left of
them. A quota by login it does not, and is asked for by quota(1), on Lustre by lfs(1), where they are there.
"""

import os
import re
import subprocess
from typing import List, NamedTuple, Optional, Tuple

BLOCK = 1024
# rpc.rquotad on a server that is off lets quota(1) wait for minutes.
QUOTA_S = 8.0
LUSTRE = "lustre"
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Quota(NamedTuple):
    """Of one file system; None: no limit. What is used may be above the soft limit for days, so the hard one counts."""

    device: str
    used_bytes: int
    limit_bytes: Optional[int]
    used_files: int
    limit_files: Optional[int]


class Room(NamedTuple):
    """`free_files` None: the file system counts none. `by_quota`: the login's quota leaves less than the disk."""

    free_bytes: int
    total_bytes: int
    free_files: Optional[int]
    by_quota: bool


def look(path: str) -> Room:
    """Of the file system on which `path` lies or will lie."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    status = os.statvfs(path)
    free, files = status.f_bavail * status.f_frsize, status.f_favail if status.f_files else None
    total = status.f_blocks * status.f_frsize
    quota = _quota_of(path)
    if quota is None:
        return Room(free, total, files, False)
    left = None if quota.limit_bytes is None else max(0, quota.limit_bytes - quota.used_bytes)
    left_files = None if quota.limit_files is None else max(0, quota.limit_files - quota.used_files)
    by_quota = (left is not None and left < free) or (left_files is not None and (files is None or left_files < files))
    if left is not None and quota.limit_bytes is not None:
        free, total = min(free, left), min(total, quota.limit_bytes)
    return Room(free, total, _least(files, left_files), by_quota)


def _least(one: Optional[int], other: Optional[int]) -> Optional[int]:
    known = [each for each in (one, other) if each is not None]
    return min(known) if known else None


def _quota_of(path: str) -> Optional[Quota]:
    device, place, kind = mount_of(path)
    if kind == LUSTRE:
        text = _said("lfs", "quota", "-q", "-u", str(os.getuid()), place)
    else:
        text = _said("quota", "-w")
    return next((one for one in parse(text) if one.device in (device, place)), None)


def _said(*command: str) -> str:
    """Nothing where there is no such program, it fails to answer, or nobody has a quota. It exits with 1 for a quota that is
    exceeded, and says all the same what it is."""
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=QUOTA_S, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:1 << 18].decode("utf-8", "replace")


def parse(text: str) -> List[Quota]:
    """What `quota -w` and `lfs quota -q` print: a line for each file system, of device, blocks of 1 KiB, soft and hard limit,
    grace, and the same for files. A grace is there only where its limit is exceeded (a `*` is behind the number), or always."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 7 and re.match(r"\d+\*?\Z", words[1]):
            fields = _fields(words[1:])
            if fields is not None:
                blocks, soft, hard, files, soft_files, hard_files = fields
                found.append(Quota(words[0], blocks * BLOCK, _limit(soft, hard, BLOCK), files,
                                   _limit(soft_files, hard_files, 1)))
    return found


def _fields(words: List[str]) -> Optional[Tuple[int, ...]]:
    """The six numbers without the graces."""
    numbers = words[:3]
    rest = words[3:]
    exceeded = numbers[0].endswith("*")
    if len(rest) >= 5 or (len(rest) == 4 and (exceeded or not rest[0].rstrip("*").isdigit())):
        rest = rest[1:]
    try:
        return tuple(int(word.rstrip("*")) for word in numbers + rest[:3]) if len(rest) >= 3 else None
    except ValueError:
        return None


def _limit(soft: int, hard: int, unit: int) -> Optional[int]:
    return (hard or soft) * unit or None


def mount_of(path: str, table: str = "/proc/self/mountinfo") -> Tuple[str, str, str]:
    """Device, mount point and kind of the file system that `path` lies on; empty where nobody knows."""
    found, real = ("", "", ""), os.path.realpath(path)
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return found
    for line in lines:
        head, _, tail = line.partition(" - ")
        words, source = head.split(" "), tail.split(" ")
        if len(words) < 5 or len(source) < 2:
            continue
        place = _plain(words[4])
        if (real + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(found[1]):
            found = _plain(source[1]), place, source[0]
    return found


def _plain(word: str) -> str:
    """mountinfo writes a space as \\040."""
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), word)
