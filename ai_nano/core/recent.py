"""What there is to be said of projects that were opened before."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ai_nano.core.errors import AiNanoError
from ai_nano.core.project.workspace import STATE_FILE, Workspace
from ai_nano.core.workflow import split_counts


@dataclass(frozen=True)
class RecentProject:
    """`used`: unix time of its last opening, None where nobody knows. `problem`: why it cannot be opened; None: it can."""

    path: Path
    used: float | None
    name: str
    classes: tuple[str, ...] = ()
    images: int = 0
    problem: AiNanoError | None = None

    @property
    def gone(self) -> bool:
        """Its folder is not there, or no project any more."""
        return self.problem is not None and self.problem.code in ("workspace.missing", "workspace.none")


def look(projects: Iterable[tuple[Path, float | None]]) -> list[RecentProject]:
    """In the same order. Reads the disk, and takes its time where that is a network's."""
    return [_look(path, used) for path, used in projects]


def _look(path: Path, used: float | None) -> RecentProject:
    try:
        workspace = Workspace.open(path)
        state = path / STATE_FILE
        at = used if used is not None or not state.exists() else state.stat().st_mtime
        return RecentProject(path, at, workspace.name, tuple(workspace.classes), sum(class_counts(workspace).values()))
    except OSError:
        return RecentProject(path, used, path.name)
    except AiNanoError as error:
        return RecentProject(path, used, path.name, problem=error)


def class_counts(workspace: Workspace) -> dict[str, int]:
    """Images of each class; of a split that was made elsewhere, those of its three parts."""
    counts = {name: workspace.count(name) for name in workspace.classes}
    if workspace.split_given and not any(counts.values()):
        return {name: sum(parts.values()) for name, parts in split_counts(workspace).items()}
    return counts
