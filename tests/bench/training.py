"""Step 5: how quick and how good the recipes are, beside the reference recipe; all in one run, on the same images.

    python -m tests.bench.training [--per-class 5 10 30 60 200] [--tasks known kinds cards] [--seeds 3]
                                   [--recipes quick fine classic] [--full] [--param NAME=VALUE ...]

Images come from tests/bench/photographs.py: N of each class are recorded and split into train, val and test as step 3 would
(at 30: 24, 3 and 3); the accuracy is that of further images (`--tested` of each class), which no training reads. Each
training is train.py as a process, each accuracy evaluate.py's. The reference recipe is measured over a few epochs and
extrapolated to 35, unless --full. Prints Markdown.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core.figures import percent
from ai_nano.core.split.dataset import shares
from tests.bench import photographs, programs

RECIPES = ("quick", "fine", "classic")
REFERENCE_EPOCHS = 35
# The first one warms caches up; the second one is what each further epoch takes.
MEASURED_EPOCHS = 2
GOAL_FINE_S = 120.0


@dataclass(frozen=True)
class Case:
    task: str
    per_class: int
    recipe: str


@dataclass(frozen=True)
class Outcome:
    """In seconds: `start` until the first image is read, `best` from there until its best model was there, `wall` all of it.

    `accuracy` is None where the recipe was only measured in part; `stage` is the one whose model is the best.
    """

    seed: int
    start: float
    best: float
    wall: float
    accuracy: float | None
    val: float | None
    extrapolated: bool
    stage: str


class Bench:
    """One folder for all; `results` by case, one for each seed."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder, self._options = folder, options
        self.results: dict[Case, list[Outcome]] = defaultdict(list)
        self.left_out: dict[str, str] = {}

    def measure(self, name: str, seed: int) -> None:
        """All sizes and recipes of one task and seed; their images are removed at the end."""
        task, top = photographs.task(name, seed), self._folder / f"{name}-{seed}"
        photographs.write(task, top / "recorded", "recorded", range(max(self._options.per_class)))
        photographs.write(task, top / "judge" / "test", "test", range(self._options.tested))
        for per_class in self._options.per_class:
            for recipe in self._options.recipes:
                if recipe == "classic" and seed > 0 and not self._options.full:
                    continue
                case = Case(name, per_class, recipe)
                try:
                    outcome = self._train(case, task, top)
                except programs.Failed as error:
                    # One that fails with few images may work with many.
                    self.left_out[f"{name}, {per_class} a class, {recipe}, seed {seed}"] = str(error)
                    continue
                self.results[case].append(outcome)
                tell(f"{name} {per_class} {recipe} seed {seed}: start {outcome.start:.1f} s, best {outcome.best:.1f} s, wall "
                     f"{outcome.wall:.1f} s, accuracy {percent(outcome.accuracy)}, val {percent(outcome.val)}, "
                     f"stage {outcome.stage}, load {os.getloadavg()[0]:.1f}")
        shutil.rmtree(top)

    def _train(self, case: Case, task: photographs.Task, top: Path) -> Outcome:
        model = top / "models" / f"{case.recipe}-{case.per_class}"
        lay_out(top / "recorded", model, task, case.per_class)
        partly = case.recipe == "classic" and not self._options.full
        params: dict[str, Any] = {"seed": task.seed, **dict(self._options.param)}
        if partly:
            params["epochs"] = MEASURED_EPOCHS
        if case.recipe == "classic":
            params["arch"] = "resnet18"
        ended = programs.run(top, "train", model=model.name, recipe=case.recipe, **params)
        result = ended.result
        first = next(one.at for one in ended.said if one.event["type"] == "metric" or one.event.get("unit") == "images")
        bests = ended.of("best")
        best = bests[-1].at if bests else ended.of("result")[-1].at
        wall, epochs = ended.wall, [one.at for one in ended.of("metric")]
        if partly:
            more = (REFERENCE_EPOCHS - MEASURED_EPOCHS) * (epochs[-1] - epochs[-2])
            best, wall = epochs[-1] + more, wall + more
        elif case.recipe == "classic":
            # Whichever epoch was the best: it takes all of them to know.
            best = epochs[-1]
        accuracy = None if partly else self._judge(model, task, top)
        shutil.rmtree(model)
        stage = str(bests[-1].event.get("stage")) if bests else case.recipe
        return Outcome(task.seed, first, best - first, wall, accuracy, result.get("val_accuracy"), partly, stage)

    def _judge(self, model: Path, task: photographs.Task, top: Path) -> float:
        """The checkpoint on the test images that no training saw, by evaluate.py."""
        judge = top / "models" / "judge"
        shutil.rmtree(judge, ignore_errors=True)
        judge.mkdir()
        (judge / "test").symlink_to(top / "judge" / "test")
        (judge / "labels.txt").write_text("\n".join(task.classes), encoding="utf-8")
        os.link(model / "checkpoint.pth", judge / "checkpoint.pth")
        accuracy: float = programs.run(top, "evaluate", model="judge").result["test_accuracy"]
        return accuracy

    # ---- what is printed ---------------------------------------------------------------------------------------------

    def tables(self) -> None:
        print(f"\n{self._options.seeds} seeds; each accuracy on {self._options.tested} images of each class that no training "
              "read.")
        for name in self._options.tasks:
            print(f"\n{name}:\n\n| images a class | recipe | start-up, s | first image to best model, s | whole program, s | "
                  "accuracy, mean (each seed) | quicker than the reference |\n|---|---|---|---|---|---|---|")
            for per_class in self._options.per_class:
                reference = self._mean(Case(name, per_class, "classic"), "best")
                for recipe in self._options.recipes:
                    case = Case(name, per_class, recipe)
                    if self.results[case]:
                        print(self._row(case, reference))
        for which, why in self.left_out.items():
            print(f"\nleft out: {which}: {why.strip()}")

    def _row(self, case: Case, reference: float | None) -> str:
        outcomes = self.results[case]
        accuracies = [one.accuracy for one in outcomes if one.accuracy is not None]
        each = ", ".join(percent(one) for one in accuracies)
        mean = f"{percent(statistics.mean(accuracies))} ({each})" if accuracies else "-"
        best, start, wall = (self._mean(case, field) or 0.0 for field in ("best", "start", "wall"))
        ratio = f"{reference / best:.0f} times" if reference is not None and case.recipe != "classic" else "-"
        about = "about " if outcomes[0].extrapolated else ""
        return f"| {case.per_class} | {case.recipe} | {start:.1f} | {about}{best:.1f} | {about}{wall:.1f} | {mean} | {ratio} |"

    def _mean(self, case: Case, field: str) -> float | None:
        values = [float(getattr(one, field)) for one in self.results[case]]
        return statistics.mean(values) if values else None

    def goals(self) -> None:
        """What the order wants, and where it is missed."""
        print("\nGoals:\n")
        for case, outcomes in sorted(self.results.items(), key=lambda item: (item[0].task, item[0].per_class)):
            if case.recipe == "quick" and case.task == "known" and case.per_class == 30:
                reached = statistics.mean(one.accuracy or 0.0 for one in outcomes)
                print(f"- quick, three known objects from 30 images each, at least 95 %: {percent(reached)}")
            if case.recipe == "quick" and (reference := self._mean(Case(case.task, case.per_class, "classic"), "best")):
                print(f"- quick, {case.task}, {case.per_class} a class, at least 150 times faster than the reference: "
                      f"{reference / (self._mean(case, 'best') or 1.0):.0f}")
            if case.recipe == "fine" and case.task in photographs.HARDER:
                quick = {one.seed: one for one in self.results[Case(case.task, case.per_class, "quick")]}
                for after in outcomes:
                    if before := quick.get(after.seed):
                        print(f"- fine, {case.task}, {case.per_class} a class, seed {after.seed}: {fine_goal(before, after)}")


def fine_goal(quick: Outcome, fine: Outcome) -> str:
    """Half of quick's error or ten points more, within two minutes."""
    before, after = quick.accuracy or 0.0, fine.accuracy or 0.0
    reached = (1 - after <= (1 - before) / 2 or after >= before + 0.10) and fine.wall <= GOAL_FINE_S
    return (f"{'reached' if reached else 'MISSED'}: {percent(before)} to {percent(after)}, {fine.wall:.0f} s, "
            f"the best is of stage {fine.stage}")


def lay_out(recorded: Path, model: Path, task: photographs.Task, per_class: int) -> None:
    """A model's folder as step 4 leaves it, of the first `per_class` images; hard links."""
    counts = shares(per_class, 0.1, 0.1)
    parts = [part for part, count in counts.items() for _ in range(count)]
    for kind in task.classes:
        for number, part in enumerate(parts):
            target = model / part / kind / f"{number:04d}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(recorded / kind / target.name, target)
    (model / "labels.txt").write_text("\n".join(task.classes), encoding="utf-8")



def tell(line: str) -> None:
    """Aside of the Markdown."""
    print(line, file=sys.stderr, flush=True)


def parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE; numbers are numbers."""
    name, _, value = text.partition("=")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, nargs="+", default=[5, 10, 30, 60, 200])
    parser.add_argument("--tasks", nargs="+", choices=photographs.TASKS, default=list(photographs.TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--tested", type=int, default=100, help="images of each class that measure the accuracy")
    parser.add_argument("--full", action="store_true", help="all 35 epochs of the reference recipe, with each seed")
    parser.add_argument("--param", type=parameter, nargs="*", default=[], help="further parameters of train.py")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options)
        try:
            for seed in range(options.seeds):
                for task in options.tasks:
                    bench.measure(task, seed)
        except photographs.PicturesMissing as error:
            tell(str(error))
            return 4
        bench.tables()
        bench.goals()
    return 0


if __name__ == "__main__":
    sys.exit(main())
