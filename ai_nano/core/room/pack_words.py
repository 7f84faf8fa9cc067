"""What is in a room pack, in the words of a person, before anything of it is written."""

from ai_nano.core.figures import amount
from ai_nano.core.room.pack import Pack
from ai_nano.core.texts import known, t


def contents(pack: Pack) -> list[str]:
    """A line for each machine with its address, then pictures, settings and the instructor's note."""
    keys = {key.name for key in pack.host_keys}
    lines = []
    for machine in pack.config.hosts:
        sure = machine.host_key or machine.name in keys
        lines.append(t("room_pack.holds.machine" if sure else "room_pack.holds.machine_unknown", machine=machine.name,
                       address=f"{machine.login}@{machine.host}" + (f":{machine.port}" if machine.port != 22 else "")))
    if pack.pictures:
        size = sum(one.info.file_size for one in pack.pictures)
        lines.append(t("room_pack.holds.images", count=len(pack.pictures), classes=pack.classes, name=pack.project,
                       size=amount(size, "bytes")))
    told = pack.defaults
    if told.target is not None:
        lines.append(t("room_pack.holds.target", target=told.target))
    if told.recipe is not None:
        recipe = f"window.train.{told.recipe}"
        lines.append(t("room_pack.holds.recipe", recipe=t(recipe) if known(recipe) else told.recipe))
    if told.language is not None:
        lines.append(t("room_pack.holds.language", language=told.language))
    if told.note:
        lines.append(t("room_pack.holds.note", note=told.note))
    return lines
