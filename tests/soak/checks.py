"""What must hold after a soak: each laptop's own on every machine, byte by byte, and nothing of another's anywhere."""

from collections.abc import Sequence
from pathlib import Path

from laptops import Broken, dataset, hashes, must, names, receipt, sha256

from tests.soak.lesson import Lesson, fingerprint
from tests.soak.room import Room

FILES = ("model.onnx", "labels.txt", "bundle.json")


def problems(lessons: Sequence[Lesson], room: Room) -> list[str]:
    """Of lessons that all came to their end; empty when all is as it must be."""
    return [*_homes(lessons), *_workspaces(lessons), *_server(lessons, room), *_nanos(lessons, room), *_listings(lessons, room)]


def _homes(lessons: Sequence[Lesson]) -> list[str]:
    """Nobody wrote into the home of one who had finished before."""
    found = []
    for lesson in lessons:
        now, then = fingerprint(lesson.laptop.folder), lesson.told.home
        changed = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
        if changed:
            found.append(f"{lesson.owner}: after its end its home changed: {changed[:5]}")
    return found


def _workspaces(lessons: Sequence[Lesson]) -> list[str]:
    """A workspace holds its own pictures and its own model, and no file of it is another's."""
    found, whose = [], {}
    for lesson in lessons:
        for name, digest in hashes(lesson.pictures).items():
            if whose.setdefault(digest, lesson) is not lesson:
                found.append(f"{lesson.owner}: its picture {name} is one of {whose[digest].owner}: this tests nothing")
    for lesson in lessons:
        workspace = lesson.laptop.workspace
        for part in ("images", "train", "val", "test"):
            strange = [name for name, digest in hashes(workspace / part).items() if whose.get(digest) is not lesson]
            if strange:
                found.append(f"{lesson.owner}: {part} holds what is not its own: {strange[:5]}")
        models = sorted(path.name for path in (workspace / "models").iterdir() if not path.name.startswith("."))
        if models != [_model(lesson)]:
            found.append(f"{lesson.owner}: its models are {models}, not {_model(lesson)}")
    networks = [sha256(lesson.laptop.workspace / "models" / _model(lesson) / "model.onnx") for lesson in lessons]
    if len(set(networks)) < len(networks):
        found.append("two laptops have the same network")
    return found


def _server(lessons: Sequence[Lesson], room: Room) -> list[str]:
    """Each model there is one laptop's, its images are those of that laptop, and its network is the one that came back."""
    found = []
    models: dict[str, Lesson] = {}
    for lesson in lessons:
        for model in {str(receipt(lesson.laptop, step)["model"]) for step in ("upload", "train")}:
            if models.setdefault(model, lesson) is not lesson:
                found.append(f"{lesson.owner} and {models[model].owner} have one model: {model}")
    there = {path.name for path in (room.server.root / "models").iterdir() if not path.name.startswith(".")}
    if there != set(models):
        found.append(f"the server has models that are nobody's, or lacks some: {sorted(there ^ set(models))}")
    for model, lesson in models.items():
        folder = room.server.root / "models" / model
        if dataset(folder) != dataset(lesson.laptop.workspace):
            found.append(f"{lesson.owner}: models/{model} on the server does not hold the images that were sent")
        if model == _model(lesson) and _published(folder) != _published(lesson.laptop.workspace / "models" / model):
            found.append(f"{lesson.owner}: the network of {model} on the server is not the one that it fetched")
    incoming = [path.name for path in (room.server.root / ".ai_nano" / "incoming").glob("*")]
    if incoming:
        found.append(f"the server still keeps what was on its way: {incoming[:5]}")
    return found


def _nanos(lessons: Sequence[Lesson], room: Room) -> list[str]:
    """Each Nano has the models of its laptops, each whole and from its own laptop, and no others."""
    found = []
    for nano in room.nanos:
        own = {_model(lesson): lesson for lesson in lessons if room.nano_of(lesson.owner) is nano}
        there = {path.name for path in (nano.root / "models").glob("*") if not path.name.startswith(".")}
        if there != set(own):
            found.append(f"{nano.name} has other models than were pushed: {sorted(there ^ set(own))}")
        for model, lesson in own.items():
            if _published(nano.root / "models" / model) != _published(lesson.laptop.workspace / "models" / model):
                found.append(f"{lesson.owner}: {model} on {nano.name} is not its own export")
    return found


def _listings(lessons: Sequence[Lesson], room: Room) -> list[str]:
    """What all share by design: every model is listed for everybody, and nothing runs any more."""
    laptop = lessons[-1].laptop
    listed, expected = set(names(must(laptop.run("models")))), {_model(lesson) for lesson in lessons}
    found = [] if expected <= listed else [f"`ai-nano models` does not list {sorted(expected - listed)}"]
    jobs = must(laptop.run("jobs")).lines[-1]["jobs"]
    running = [job["id"] for job in jobs if job["state"] not in ("done",)]
    return [*found, *([f"`ai-nano jobs` lists what is not done: {running}"] if running else [])]


def _model(lesson: Lesson) -> str:
    return str(receipt(lesson.laptop, "export")["model"])


def _published(folder: Path) -> list[str]:
    found = [sha256(folder / name) for name in FILES]
    if "-" in found:
        raise Broken(f"{folder.name} lacks one of {FILES}")
    return found
