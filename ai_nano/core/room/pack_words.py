"""What is in a room pack, in the words of a person, before anything of it is written."""

from ai_nano.core.figures import amount
from ai_nano.core.recipes import word
from ai_nano.core.room.config import MachineConfig
from ai_nano.core.room.pack import Pack
from ai_nano.core.texts import t

# Of more machines the list would be higher than a screen.
MOST_LINES = 12


def contents(pack: Pack) -> list[str]:
    """The instructor's note first, then each machine with its address, pictures and settings: a line or so each."""
    told, keys = pack.defaults, {key.name for key in pack.host_keys}
    lines = [told.note] if told.note else []
    machines = [t("room_pack.holds.machine", machine=one.name, address=_address(one)) for one in pack.config.hosts]
    lines += machines if len(machines) <= MOST_LINES else [", ".join(machines)]
    unknown = [one.name for one in pack.config.hosts if not one.host_key and one.name not in keys]
    if unknown:
        lines.append(t("room_pack.holds.unknown", machines=unknown))
    if pack.pictures:
        size = sum(one.info.file_size for one in pack.pictures)
        lines.append(t("room_pack.holds.images", count=len(pack.pictures), classes=pack.classes, name=pack.project,
                       size=amount(size, "bytes")))
    if told.target is not None:
        lines.append(t("room_pack.holds.target", target=told.target))
    if told.recipe is not None:
        lines.append(t("room_pack.holds.recipe", recipe=word(told.recipe)))
    if told.language is not None:
        lines.append(t("room_pack.holds.language", language=told.language))
    return lines


def _address(machine: MachineConfig) -> str:
    return f"{machine.login}@{machine.host}" + (f":{machine.port}" if machine.port != 22 else "")
