"""Slurm as the config asks for it: is it there, does it answer, are the partition and the GPUs known, are nodes down. Where
trainings do without it: whether the login can stand in the queue that several share."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Dict, List, NamedTuple

from shared import doctor, gpus, slurm
from shared.doctor import Asked
from shared.findings import LONGEST, Check, Findings, login

# Twice, and the doctor has METADATA_S for all.
ASK_S = 1.8
# `sinfo --noheader --Node --format=%N|%P|%t|%G|%E`: a node of a partition in each line.
FORMAT = "%N|%P|%t|%G|%E"
DOWN = re.compile(r"^(down|drain|drng|fail|boot_?fail|unk|inval|maint)", re.I)


class Node(NamedTuple):
    name: str
    partition: str
    state: str
    gres: str
    reason: str


def parse_nodes(output: str) -> List[Node]:
    found = []
    for line in output.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) == 5:
            found.append(Node(fields[0], fields[1].rstrip("*"), fields[2], fields[3], fields[4]))
    return found


def parse_ping(output: str) -> Dict[str, bool]:
    """`scontrol ping`: "Slurmctld(primary) at head is UP" for each controller."""
    return {host: state == "UP" for host, state in re.findall(r"Slurmctld\([^)]*\) at (\S+) is (\w+)", output)}


def kinds(gres: str) -> List[str]:
    """The kinds that a node has, without counts and places: "gpu:a100:4(S:0-1)" has gpu and gpu:a100."""
    found = []
    for each in re.sub(r"\([^)]*\)", "", gres).split(","):
        words = each.split(":")
        if words[0] and words[0] != "null":
            found.append(words[0])
            if len(words) > 1 and not words[1].isdigit():
                found.append(":".join(words[:2]))
    return found


def check(asked: Asked) -> Check:
    scheduler = asked.get("scheduler", "auto")
    options = asked.get("slurm") or {}

    def look(findings: Findings) -> None:
        if scheduler == "direct" or (scheduler == "auto" and slurm.command("sbatch") is None):
            _direct(findings, asked)
            return
        if slurm.command("sbatch") is None:
            findings.bad("slurm", "doctor.slurm.missing")
            return
        try:
            controllers = parse_ping(slurm.ask(["scontrol", "ping"], ASK_S))
            nodes = parse_nodes(slurm.ask(["sinfo", "--noheader", "--Node", f"--format={FORMAT}"], ASK_S))
        except slurm.Silent as silent:
            if not slurm.no_cluster(silent):
                findings.bad("slurm", "doctor.slurm.silent", error=str(silent)[:LONGEST])
            elif scheduler == "auto":
                _direct(findings, asked)
            else:
                findings.bad("slurm", "doctor.slurm.missing")
            return
        if controllers and not any(controllers.values()):
            findings.bad("slurm", "doctor.slurm.silent", error=", ".join(sorted(controllers)))
            return
        _judge(findings, nodes, options)

    return look


def _direct(findings: Findings, asked: Asked) -> None:
    queue = asked.get("queue")
    if queue:
        _check_queue(findings, Path(queue))
    findings.ok("slurm", "direct")


def _check_queue(findings: Findings, folder: Path) -> None:
    place = doctor.nearest(folder)
    told = {"path": str(folder), "login": login(), "owner": doctor.owner(place)}
    if os.statvfs(str(place)).f_flag & os.ST_RDONLY:
        findings.bad("queue", "doctor.root.mounted_readonly", str(folder), **told)
        return
    why = doctor.forbidden(folder, lambda inside: all(map(gpus.is_of_queue, inside)))
    if why is None:
        findings.ok("queue", str(folder))
    elif why in ("readonly", "other"):
        findings.bad("queue", "doctor.queue.unusable", str(folder), **told)
    else:
        findings.bad("queue", "doctor.queue.elsewhere", str(folder), **told)


def _judge(findings: Findings, nodes: List[Node], options: Dict[str, str]) -> None:
    """The partition and the GPUs first: with the wrong ones no job starts, whatever the nodes do."""
    partitions = sorted({node.partition for node in nodes})
    partition, gres = options.get("partition"), options.get("gres")
    figure = ", ".join(partitions)[:120]
    wanted = partition.split(",") if partition else []
    if not set(wanted) <= set(partitions):
        findings.bad("slurm", "doctor.slurm.partition", figure, partition=partition, known=partitions,
                     likely=",".join(one if one in partitions else _likely(one, partitions) for one in wanted))
        return
    own = [node for node in nodes if not wanted or node.partition in wanted]
    there = sorted({kind for node in own for kind in kinds(node.gres)})
    each = [] if not gres or gres.lower() in slurm.NO_GRES else gres.split(",")
    if not {_kind(one) for one in each} <= set(there):
        findings.bad("slurm", "doctor.slurm.gres", ", ".join(there), gres=gres, known=there or ["–"],
                     likely=",".join(_known(one, there) for one in each) if there else "")
        return
    down = sorted({node.name for node in own if DOWN.match(node.state)})
    up = sorted({node.name for node in own if not DOWN.match(node.state)})
    reasons = sorted({node.reason for node in own if node.name in down and node.reason not in ("", "none")})
    if down:
        told = {"nodes": down[:20], "list": ",".join(down[:20]), "reason": reasons[:3] or ["–"], "up": len(up)}
        if up:
            findings.warn("slurm", "doctor.slurm.nodes", f"{len(up)} / {len(up) + len(down)}", **told)
        else:
            findings.bad("slurm", "doctor.slurm.no_node", f"0 / {len(down)}", **told)
    elif not own:
        findings.bad("slurm", "doctor.slurm.empty")
    else:
        findings.ok("slurm", figure + ", " + str(len(up)))


def _kind(gres: str) -> str:
    """gpu:a100 of gpu:a100:2."""
    return re.sub(r":\d+$", "", gres)


def _known(gres: str, there: List[str]) -> str:
    """This one, or the likely one in its place with the same count."""
    kind = _kind(gres)
    return gres if kind in there else _likely(kind, there) + gres[len(kind):]


def _likely(wanted: str, known: List[str]) -> str:
    """The one that was meant, to be proposed."""
    return (difflib.get_close_matches(wanted, known, 1, 0.0) or [""])[0]
