"""What `via` in config.json may say beside the name of another machine: ssh -J's form `[login@]host[:port]`."""

import re
from dataclasses import dataclass

# Without commas (several jump hosts) and slashes (ssh://); an IPv6 address stands in brackets.
_FORM = re.compile(r"(?:(?P<login>[^@\s,/:\[\]-][^@\s,/\[\]]*)@)?"
                   r"(?:\[(?P<address>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^@\s,/:\[\]-][^@\s,/:\[\]]*))"
                   r"(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Hop:
    """A jump host that only `via` names; `login` None means that of the machine behind it."""

    login: str | None
    host: str
    port: int = 22

    @property
    def name(self) -> str:
        """What it is called, and what its host key is pinned under: as OpenSSH's known_hosts does it."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


def parse(text: str) -> Hop | None:
    """None when it has another form."""
    found = _FORM.fullmatch(text)
    if found is None or not 1 <= (port := int(found["port"] or 22)) <= 65535:
        return None
    return Hop(found["login"], found["address"] or found["host"], port)
