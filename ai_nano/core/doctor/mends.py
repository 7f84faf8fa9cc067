"""For each finding the command that mends it. Made here, and never by the machine that is ill: somebody will type it.

A template's fields are parameters of the finding or facts of the config; each becomes one quoted word. What a machine said is
taken only if it looks like what it should be; else there is no command. `{ssh}` and `{target}` are words already.
"""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from ai_nano.core.doctor.findings import LAPTOP, Finding, Mend
from ai_nano.core.room.config import DEFAULT_ROOT, Config, MachineConfig, NanoConfig, ServerConfig

# A path, a number, a name of a package, a list of nodes; not what could be an option or a second command.
_PLAIN = re.compile(r"[A-Za-z0-9_./~@+:,=<>\[\]() -]{1,300}")

# As torchvision calls its weights, which lie at one address.
_PUBLISHED = re.compile(r"[A-Za-z0-9_.]+-[0-9a-f]{8}\.pth")
SHARED_QUEUE = "/srv/ai_nano-queue"

THERE = "there"
HERE = LAPTOP
_PIP = "{pip} install "
# (where, template) for each code; with several, one after the other.
TABLE: Mapping[str, tuple[tuple[str, str], ...]] = {
    # ---- any machine: reaching it
    "machine.unknown_host": ((THERE, "hostname -I"), (HERE, "getent hosts {host}")),
    "machine.refused": ((THERE, "sudo systemctl enable --now ssh"),),
    "machine.unreachable": ((HERE, "ping -c 3 {host}"), (THERE, "ip -brief address")),
    "machine.not_ssh": ((HERE, "ssh -v -p {port} {target} true"),),
    "machine.lost": ((HERE, "ping -c 20 {host}"),),
    "machine.silent": ((HERE, "ssh -v -p {port} {target} true"),),
    "machine.nonsense": ((HERE, "{ssh} true"),),
    "machine.no_answer": ((THERE, "sudo chsh -s /bin/bash {login}"),),
    "machine.via_forbidden": ((THERE, "sudo sed -i 's/^#*AllowTcpForwarding.*/AllowTcpForwarding yes/' /etc/ssh/sshd_config"
                                      " && sudo systemctl restart ssh"),),
    "machine.via_unreachable": ((HERE, "ping -c 3 {host}"),),
    "machine.via_lost": ((HERE, "ping -c 3 {host}"),),
    "machine.host_key_unknown": ((HERE, "ai-nano doctor --machine {name}"),),
    "machine.host_key_changed": ((HERE, "ssh-keygen -R {name} -f {known_hosts}"),),
    "doctor.host_key.config": ((THERE, "for key in /etc/ssh/ssh_host_*.pub; do ssh-keygen -l -f \"$key\"; done"),
                               (HERE, "python3 -c {host_key_edit}")),
    "machine.auth": ((HERE, "ssh-copy-id -p {port} {target}"),),
    "doctor.auth.password": ((HERE, "{ssh} -o PubkeyAuthentication=no true"), (HERE, "python3 -c {pwd_out}")),
    "machine.no_password": ((HERE, "ssh-copy-id -p {port} {target}"),),
    "machine.key_missing": ((HERE, "ssh-keygen -t ed25519 -N '' -f {file} && ssh-copy-id -i {file} -p {port} {target}"),),
    "machine.key_unreadable": ((HERE, "ssh-keygen -p -N '' -f {file}"),),
    "doctor.round_trip.slow": ((HERE, "ping -c 20 {host}"),),
    "doctor.shell.slow": ((THERE, "cp -p -- ~{login}/.bashrc ~{login}/.bashrc.before && "
                                  "sed -i '1i case $- in *i*) ;; *) return;; esac' ~{login}/.bashrc"),),
    "doctor.clock.skew": ((HERE, "{ssh} sudo date -u -s @$(date +%s)"), (THERE, "sudo timedatectl set-ntp true")),
    "doctor.python.missing": ((THERE, "sudo apt-get install -y python3"),),
    "doctor.python.config": ((HERE, "python3 -c {named_python_out}"),),
    "doctor.python.config_nonsense": ((HERE, "python3 -c {named_python_out}"),),
    "doctor.python.old": ((THERE, "sudo apt-get install -y python3.8 python3.8-venv && "
                                  "python3.8 -m venv --clear -- {root}/venv"), (HERE, "python3 -c {named_python_out}")),
    "doctor.disk.full": ((THERE, "rm -rf -- {root}/.ai_nano/cache && sudo apt-get clean"),
                         (THERE, "du -xh --max-depth=2 -- {root} | sort -h | tail -n 15")),
    "doctor.disk.low": ((THERE, "rm -rf -- {root}/.ai_nano/cache && sudo apt-get clean"),
                        (THERE, "du -xh --max-depth=2 -- {root} | sort -h | tail -n 15")),
    "doctor.inodes.full": ((THERE, "find {root} -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail -n 15"),),
    "doctor.inodes.low": ((THERE, "find {root} -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail -n 15"),),
    "doctor.root.readonly": ((THERE, "sudo mkdir -p -- {path} && sudo chown {login}: -- {path} && "
                                     "sudo chmod u+rwx -- {path}"),),
    "doctor.root.other": ((THERE, "sudo chown -R {login}: -- {path} && sudo chmod -R u+rwX -- {path}"),),
    "doctor.root.system": ((HERE, "python3 -c {root_edit}"),),
    "doctor.root.file": ((HERE, "python3 -c {root_edit}"),),
    "doctor.root.closed": ((HERE, "python3 -c {root_edit}"),),
    "doctor.root.mounted_readonly": ((THERE, "sudo mount -o remount,rw \"$(df --output=target -- {path} | tail -n 1)\""),),
    "doctor.slow": ((THERE, "uptime"),),
    "doctor.crashed": ((HERE, "ai-nano doctor --machine {name} --json --log-file doctor.log"),),
    "doctor.unanswered": ((HERE, "{ssh} uptime"),),
    # ---- the server
    "doctor.torch.missing": ((THERE, _PIP + "torch==2.13.0"),),
    "doctor.torch.old": ((THERE, _PIP + "--upgrade torch==2.13.0"),),
    "doctor.cuda.torch_is_cpu": ((THERE, _PIP + "--force-reinstall torch==2.13.0"),),
    "doctor.cuda.no_driver": ((THERE, "sudo ubuntu-drivers install && sudo reboot"),),
    "doctor.cuda.mismatch": ((THERE, "sudo reboot"),),
    "doctor.cuda.driver_old": ((THERE, "sudo ubuntu-drivers install && sudo reboot"),),
    "doctor.gpu_memory.taken": ((THERE, "ps -o user,pid,etime,args -p {pids}"), (HERE, "ai-nano jobs")),
    "doctor.gpu_memory.little": ((THERE, "nvidia-smi"),),
    "doctor.packages.missing": ((THERE, _PIP + "{lines*}"),),
    "doctor.packages.old": ((THERE, _PIP + "--upgrade {lines*}"),),
    "doctor.weights.missing": (
        (THERE, "mkdir -p -- \"$(dirname -- {path})\" && curl -fL -o {path} https://download.pytorch.org/models/{published}"),
        (HERE, "python3 -c {strange_weights_out}")),
    "doctor.weights.unreadable": ((THERE, "sudo chmod a+r -- {path}"),),
    "doctor.queue.unusable": ((THERE, "sudo install -d -m 1777 -- {path}"),),
    "doctor.queue.elsewhere": ((HERE, "python3 -c {queue_edit}"),),
    "doctor.slurm.missing": ((THERE, "sudo apt-get install -y slurm-client"),),
    "doctor.slurm.silent": ((THERE, "sudo systemctl restart slurmctld"),),
    "doctor.slurm.partition": ((HERE, "python3 -c {partition_edit}"),),
    "doctor.slurm.gres": ((HERE, "python3 -c {gres_edit}"),),
    "doctor.slurm.nodes": ((THERE, "sudo scontrol update nodename={list} state=resume"),),
    "doctor.slurm.no_node": ((THERE, "sudo scontrol update nodename={list} state=resume"),),
    "doctor.slurm.empty": ((THERE, "sinfo"),),
    "doctor.deep_torch": ((THERE, _PIP + "--force-reinstall torch==2.13.0"),),
    "doctor.deep_cuda": ((THERE, _PIP + "--force-reinstall torch==2.13.0"),),
    "doctor.deep_training": ((THERE, "nvidia-smi"),),
    "doctor.deep_onnxruntime": ((THERE, _PIP + "--force-reinstall onnxruntime numpy opencv-python-headless"),),
    "doctor.deep.slow": ((THERE, "uptime"),),
    "doctor.deep.in_use": ((HERE, "ai-nano jobs"),),
    "doctor.deep.container": ((HERE, "ai-nano test-nano --nano {name}"),),
    # ---- a Nano
    "doctor.jetpack.none": ((THERE, "dpkg-query --show nvidia-l4t-core"),),
    "doctor.jetpack.old": ((THERE, "sudo apt-get update && sudo apt-get dist-upgrade"),),
    "doctor.tensorrt.missing": ((THERE, "sudo apt-get update && sudo apt-get install -y nvidia-jetpack"),),
    "doctor.tensorrt.no_dpkg": ((THERE, "find / -xdev -name 'libnvinfer.so*'"),),
    "doctor.tensorrt.opset": ((THERE, "sudo apt-get update && sudo apt-get dist-upgrade"),),
    "doctor.inference.missing": ((THERE, "git clone --recursive --depth=1 https://github.com/dusty-nv/jetson-inference && cd "
                                         "jetson-inference && mkdir build && cd build && cmake .. && make -j2 && "
                                         "sudo make install && sudo ldconfig"),),
    "doctor.inference.image": ((HERE, "python3 -c {container_edit}"),),
    "doctor.inference.onnxruntime": ((HERE, "python3 -c {named_python_out}"), (HERE, "ai-nano provision --machine {name}")),
    "doctor.inference.onnxruntime_pip": ((THERE, _PIP + "{lines*}"),),
    "container.no_docker": ((THERE, "sudo apt-get update && sudo apt-get install -y nvidia-docker2 docker.io"),),
    "container.no_permission": ((THERE, "sudo usermod -aG docker {login}"),),
    "doctor.container.again": ((THERE, "sudo systemctl restart user@$(id -u).service"), (THERE, "sudo reboot")),
    "container.no_daemon": ((THERE, "sudo systemctl enable --now docker"),),
    "container.no_image": ((THERE, "sudo docker pull {image}"),),
    "container.no_runtime": ((THERE, "sudo apt-get install -y nvidia-docker2 && sudo systemctl restart docker"),),
    "container.no_l4t": ((THERE, "dpkg-query --show nvidia-l4t-core"),),
    "container.too_old": ((THERE, "sudo apt-get update && sudo apt-get dist-upgrade"),),
    "container.failed": ((THERE, "sudo docker image inspect {image}"),),
    "infer.bad_params": ((HERE, "ai-nano doctor --machine {name}"),),
    "doctor.camera.no_csi": ((THERE, "sudo systemctl restart nvargus-daemon"), (THERE, "dmesg | grep -i -E 'imx|ov5693|csi'")),
    "doctor.camera.missing": ((THERE, "lsusb; ls -l /dev/video*"),),
    "doctor.camera.other": ((HERE, "python3 -c {camera_edit}"),),
    "doctor.camera.no_file": ((THERE, "ls -l -- {path}"),),
    "doctor.camera.permission": ((THERE, "sudo usermod -aG {group} {login}"),),
    "doctor.gpio.library": ((THERE, "sudo {python} -m pip install {package}"),),
    "doctor.gpio.no_chip": ((THERE, "ls -l /dev/gpiochip* /sys/class/gpio/export"),),
    "doctor.gpio.group": ((THERE, "sudo groupadd -f -r gpio && sudo usermod -aG gpio {login}"),),
    "doctor.gpio.again": ((THERE, "sudo reboot"),),
    "doctor.gpio.rule": ((THERE, "sudo cp -- {rule} /etc/udev/rules.d/99-gpio.rules && sudo udevadm control --reload-rules && "
                                 "sudo udevadm trigger"),),
    "doctor.memory.little": ((THERE, "ps -eo pid,user,rss,args --sort=-rss | head -n 10"),),
    "doctor.memory.unknown": ((THERE, "free -m"),),
    "doctor.swap.none": ((THERE, "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
                                 "sudo swapon /swapfile && echo '/swapfile none swap sw 0 0' | sudo tee -a /etc/fstab"),),
    "doctor.power.unknown": ((THERE, "sudo nvpmodel -q"),),
    "doctor.power.weak": ((THERE, "sudo nvpmodel -m {number}"),),
    "doctor.temperature.hot": ((THERE, "sudo sh -c 'echo 255 > /sys/devices/pwm-fan/target_pwm'"),),
    "doctor.temperature.throttled": ((THERE, "sudo sh -c 'echo 255 > /sys/devices/pwm-fan/target_pwm'"),),
    "doctor.desktop.running": ((THERE, "sudo systemctl set-default multi-user.target && "
                                       "sudo systemctl isolate multi-user.target"),),
    "doctor.deep_inference": ((THERE, "sudo ldconfig && python3 -c 'import jetson_inference'"),),
    "doctor.deep_tensorrt": ((THERE, "sudo apt-get install -y --reinstall python3-libnvinfer"),),
    "doctor.deep_gpio": ((THERE, "python3 -c 'import Jetson.GPIO'"),),
    "doctor.deep_camera": ((THERE, "sudo systemctl restart nvargus-daemon"),),
    # ---- this computer
    "doctor.laptop.python": ((HERE, "sudo apt-get install -y python3.10 python3.10-venv"),),
    "doctor.laptop.packages": ((HERE, _PIP + "{lines*}"),),
    "doctor.qt.missing": ((HERE, _PIP + "PyQt5"),),
    "doctor.qt.libraries": ((HERE, "sudo apt-get install -y {lines*}"),),
    "doctor.webcam.none": ((HERE, "lsusb"),),
    "doctor.webcam.permission": ((HERE, "sudo usermod -aG video {login}"),),
    "doctor.webcam.busy": ((HERE, "kill {pid}"),),
    "doctor.laptop.disk": ((HERE, "du -xh --max-depth=2 -- {path} | sort -h | tail -n 15"),),
    "doctor.config_folder": ((HERE, "sudo chown -R \"$(id -un)\": -- {path} && chmod u+rwx -- {path}"),),
    "doctor.config.open": ((HERE, "chmod 600 -- {path}"),),
    "doctor.config.none": ((HERE, "ai-nano"),),
    "doctor.laptop.clock": ((HERE, "sudo timedatectl set-ntp true"),),
}


def known(code: str) -> bool:
    return code in TABLE


def mends(finding: Finding, room: Config | None, machine: MachineConfig | None, folder: Path) -> list[Mend]:
    """The commands for a finding of that machine (None: this computer); `folder` is the user's config folder."""
    if finding.code is None:
        return []
    fields = _facts(finding, room, machine, folder)
    found = []
    for where, template in TABLE.get(finding.code, ()):
        command = _filled(template, fields)
        if command is not None:
            found.append(Mend(command, finding.machine if where == THERE else LAPTOP))
    return found


def _facts(finding: Finding, room: Config | None, machine: MachineConfig | None, folder: Path) -> dict[str, str]:
    """Words that are quoted already. What the config says goes before what the machine says."""
    fields = {name: _quoted(text) for name, value in finding.params.items() if (text := _plain(value)) is not None}
    fields |= {f"{name}*": " ".join(map(shlex.quote, text.split())) for name, value in finding.params.items()
               if (text := _plain(value)) is not None and not any(word.startswith("-") for word in text.split())}
    fields["pip"] = _pip(finding, machine, fields)
    file_name = (_plain(finding.params.get("path")) or "").rpartition("/")[2]
    if _PUBLISHED.fullmatch(file_name):
        fields["published"] = file_name
    fields["known_hosts"] = shlex.quote(str(folder / "known_hosts"))
    if machine is not None and room is not None and room.path is not None:
        likely = _plain(finding.params.get("likely"))
        for name, value in {"partition": likely, "gres": likely, "camera": likely, "container": "auto",
                            "root": _another(machine.root, DEFAULT_ROOT), "queue": _another(_queue(machine), SHARED_QUEUE),
                            "host_key": _plain(finding.params.get("fingerprint"))}.items():
            if value:
                fields[f"{name}_edit"] = _edit(room, machine, name, value)
        fields["pwd_out"] = _edit(room, machine, "pwd", None)
        if machine.python is not None:
            fields["named_python_out"] = _edit(room, machine, "python", None)
        if "published" not in fields:
            fields["strange_weights_out"] = _edit(room, machine, "weights", None)
    if machine is not None:
        target = f"{machine.login}@{machine.host}"
        jump = room.jump(machine) if room is not None else None
        through = ["-J", f"{jump.login}@{jump.host}:{jump.port}"] if jump else []
        words = ["ssh", "-t", "-p", str(machine.port), *through, target]
        fields |= {"host": shlex.quote(machine.host), "port": str(machine.port), "name": shlex.quote(machine.name),
                   "login": shlex.quote(machine.login), "target": shlex.quote(target), "ssh": shlex.join(words),
                   "root": _quoted(machine.root)}
    return fields


def _quoted(text: str) -> str:
    """As one word of a shell, which expands the home at its beginning."""
    return "~/" + shlex.quote(text[2:]) if text.startswith("~/") and text != "~/" else shlex.quote(text)


def _pip(finding: Finding, machine: MachineConfig | None, fields: Mapping[str, str]) -> str:
    """Newer systems keep pip out of their own Python; a virtual environment in the root is found by itself, unless the config
    names another Python."""
    if machine is not None and machine.python is None and finding.params.get("venv") is False:
        own = shlex.quote(f"{machine.root}/venv")
        return f"python3 -m venv --system-site-packages {own} && {shlex.quote(machine.root + '/venv/bin/python')} -m pip"
    return f"{fields['python']} -m pip" if "python" in fields else "python3 -m pip"


def _edit(room: Config, machine: MachineConfig, key: str, value: str | None) -> str:
    """A word for `python3 -c` that writes one value into config.json (None: takes the key out), and changes neither the others
    nor who may read it."""
    place = '["DL_server"]'
    if isinstance(machine, NanoConfig):
        place = f'["jetson_nano"][{room.nanos.index(machine)}]'
    elif key in ("partition", "gres"):
        place += '.setdefault("slurm", {})'
    path = json.dumps(str(room.path))
    change = f'd{place}.pop("{key}", None)' if value is None else f'd{place}["{key}"] = {json.dumps(value)}'
    return shlex.quote(f'import json; p = {path}; d = json.load(open(p, encoding="utf-8")); {change}; '
                       'json.dump(d, open(p, "w", encoding="utf-8"), indent=2, ensure_ascii=False)')


def _another(value: str | None, new: str) -> str:
    return f"{new}-2" if value == new else new


def _queue(machine: MachineConfig) -> str | None:
    return machine.queue if isinstance(machine, ServerConfig) else None


def _plain(value: object) -> str | None:
    """As text, where it is nothing but what a name or a path has."""
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or not _PLAIN.fullmatch(value) or value.startswith("-"):
        return None
    return value


def _filled(template: str, fields: Mapping[str, str]) -> str | None:
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        missing = missing or match.group(1) not in fields
        return fields.get(match.group(1), "")

    command = re.sub(r"\{([a-z_]+\*?)\}", fill, template)
    return None if missing else command
