"""Host keys, pinned under the machine's name in the config: addresses move (DHCP), and every Nano over USB has the same."""

import base64
import hashlib
from pathlib import Path

import paramiko

from ai_nano.core.errors import ConfigError, HostKeyError
from ai_nano.core.ports import Questions
from ai_nano.core.room import known_hosts
from ai_nano.core.room.config import MachineConfig
from ai_nano.core.room.known_hosts import HostKey


def fingerprint(key: paramiko.PKey) -> str:
    """`SHA256:…`, as OpenSSH prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


class HostKeys:
    """known_hosts in the user's config folder, and `host_key` of the config, which wins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _pinned(self, machine: MachineConfig) -> list[tuple[str, str]]:
        """(kind, key as base64 or `SHA256:…`); the kind of a bare fingerprint is empty."""
        if machine.host_key:
            words = machine.host_key.split()
            if words and words[0].startswith("SHA256:"):
                return [("", words[0])]
            if len(words) < 2:
                raise ConfigError("config.host_key", key=f"{machine.name}.host_key")
            return [(words[0], words[1])]
        if not self.path.exists():
            return []
        entries = paramiko.HostKeys(str(self.path)).lookup(machine.name)
        return [(key.get_name(), key.get_base64()) for key in entries.values()] if entries else []

    def kinds(self, machine: MachineConfig) -> list[str]:
        """Kinds of the pinned keys, so that the server is asked for these and not for another key that it also has."""
        return [kind for kind, _ in self._pinned(machine) if kind]

    def check(self, machine: MachineConfig, key: paramiko.PKey, ask: Questions) -> None:
        """Raises HostKeyError when the key is not the pinned one, or is unknown and nobody vouches for it."""
        seen = fingerprint(key)
        pinned = self._pinned(machine)
        if any(value in (key.get_base64(), seen) for _, value in pinned):
            return
        if pinned:
            raise HostKeyError("machine.host_key_changed", machine=machine.name, host=machine.host, fingerprint=seen,
                               file="host_key in config.json" if machine.host_key else self.path)
        if not ask.trust_host_key(machine.name, key.get_name(), seen):
            raise HostKeyError("machine.host_key_unknown", machine=machine.name, host=machine.host,
                               kind=key.get_name(), fingerprint=seen)
        known_hosts.remember(self.path, [HostKey(machine.name, key.get_name(), key.get_base64())])
