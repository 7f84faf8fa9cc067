"""Step 3: the split into train/, val/ and test/, and labels.txt."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite
from ai_nano.core.events import Log, Progress
from ai_nano.core.files import looks_like_an_image, storage_errors, write_json
from ai_nano.core.ports import StepContext
from ai_nano.core.project.workspace import PARTS, ImageFile, Receipt, Workspace
from ai_nano.core.split import dataset
from ai_nano.core.split.image_hashes import ImageHashes


@dataclass(frozen=True)
class SplitOptions:
    """Fractions of each class; `fresh` forgets where images were before."""

    val: float = 0.1
    test: float = 0.1
    seed: int = 0
    strategy: str = "blocks"
    fresh: bool = False


class SplitStep:
    name = "split"
    lane: str | None = "laptop"

    def check(self, workspace: Workspace, options: SplitOptions) -> list[AiNanoError]:
        problems: list[AiNanoError] = []
        try:
            dataset.check_fractions(options.val, options.test)
        except BadInput as error:
            problems.append(error)
        if len(workspace.classes) < 2:
            problems.append(BadInput("class_name.one", count=len(workspace.classes)))
        for name in workspace.classes:
            count = sum(looks_like_an_image(path) for path in workspace.image_paths(name))
            if count < dataset.FEWEST_IMAGES:
                problems.append(MissingPrerequisite("split.too_few", name=name, count=count, fewest=dataset.FEWEST_IMAGES))
        return problems

    def run(self, workspace: Workspace, options: SplitOptions, context: StepContext) -> Receipt:
        images: list[ImageFile] = []
        left_out: list[str] = []
        for name in workspace.classes:
            for image in workspace.images(name):
                if looks_like_an_image(image.path):
                    images.append(image)
                else:
                    left_out.append(image.key)
                    context.emit(Log("split.left_out", {"file": image.path.relative_to(workspace.path)}, "warning"))
        previous = {} if options.fresh else self._previous(workspace, options, context)
        with storage_errors(workspace.path):
            hashes = ImageHashes(workspace, context.lab.images).of(
                images, lambda done, total: context.emit(Progress(self.name, done, total, "images", what="split.comparing")),
                context.cancel)
        divided = dataset.divide(images, val=options.val, test=options.test, seed=options.seed, strategy=options.strategy,
                                 previous=previous, hashes=hashes)
        assigned = divided.assigned
        with storage_errors(workspace.path):
            if workspace.split_given:
                self._keep_given(workspace, context)
            self._lay_out(workspace, images, assigned, context)
            workspace.write_labels()
            write_json(self._memory(workspace), {"v": 1, "assigned": assigned, "settings": _settings(options)})
        workspace.settings.pop("split_given", None)
        counts = {part: sum(1 for one in assigned.values() if one == part) for part in PARTS}
        return Receipt(self.name, "done", workspace.images_fingerprint(),
                       facts={**counts, "left_out": left_out, "seed": options.seed, "strategy": options.strategy,
                              "why": [reason.to_json() for reason in divided.why]})

    def _memory(self, workspace: Workspace) -> Path:
        return workspace.hidden / "split.json"

    def _previous(self, workspace: Workspace, options: SplitOptions, context: StepContext) -> Mapping[str, str]:
        """Where the images were. What was split by another strategy or in other shares is another split: nothing of it."""
        try:
            told = json.loads(self._memory(workspace).read_text(encoding="utf-8"))
            assigned = {str(key): str(part) for key, part in told["assigned"].items()}
            settings = told.get("settings")
        except (OSError, ValueError, KeyError, AttributeError):
            return {}
        if settings is not None and settings != _settings(options):
            context.emit(Log("split.anew"))
            return {}
        return assigned

    def _keep_given(self, workspace: Workspace, context: StepContext) -> None:
        """A split that we did not make may hold the only copy of an image: it goes to the workspace's bin."""
        kept = workspace.hidden / "bin" / time.strftime("split-%Y%m%d-%H%M%S")
        for part in PARTS:
            if (workspace.path / part).exists():
                kept.mkdir(parents=True, exist_ok=True)
                (workspace.path / part).rename(kept / part)
        context.emit(Log("split.given_kept", {"folder": kept.relative_to(workspace.path)}, "warning"))

    def _lay_out(self, workspace: Workspace, images: list[ImageFile], assigned: Mapping[str, str],
                 context: StepContext) -> None:
        """Build the three folders aside, then swap them in: an interrupted split leaves the old one."""
        aside = workspace.hidden / "split.new"
        shutil.rmtree(aside, ignore_errors=True)
        for part in PARTS:
            for name in workspace.classes:
                (aside / part / name).mkdir(parents=True)
        for number, image in enumerate(images, 1):
            context.cancel.check()
            link_or_copy(image.path, aside / assigned[image.key] / image.class_name / image.path.name)
            if number % 50 == 0 or number == len(images):
                context.emit(Progress(self.name, number, len(images), "images", what="split.copying"))
        old = workspace.hidden / "split.old"
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir()
        for part in PARTS:
            if (workspace.path / part).exists():
                (workspace.path / part).rename(old / part)
            (aside / part).rename(workspace.path / part)
        shutil.rmtree(old)
        shutil.rmtree(aside)


def _settings(options: SplitOptions) -> dict[str, object]:
    """What decides which images go where, beside the seed."""
    return {"strategy": options.strategy, "val": options.val, "test": options.test}


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system can, a copy with its time kept where not."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
