"""The drawings of the report's page: SVG without scripts, whose colours are the page's (report_page.py)."""

import html
from collections.abc import Callable, Sequence
from math import sqrt

from ai_nano.core.figures import percent
from ai_nano.core.report.figures import Calibration, Epoch, Reliability
from ai_nano.core.texts import t

WIDTH, HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 34
# Below this many, single points are drawn as well: a line of one point is none.
_FEW_POINTS = 12


def interval(accuracy: float, ends: tuple[float, float] | None, chance: float) -> str:
    """A scale from 0 to 100 % with the measured rate, the range in which the true one probably lies, and guessing."""
    width, height, left = 640, 64, 12

    def x(share: float) -> float:
        return left + (width - 2 * left) * share

    lines = [_open(width, height, t("report.interval.scale"), "scale"),
             f'<rect class="track" x="{left}" y="24" width="{width - 2 * left}" height="10" rx="5"/>']
    if ends is not None:
        low, high = ends
        wide = max(4.0, x(high) - x(low))
        lines.append(f'<rect class="range" x="{x(low):.1f}" y="20" width="{wide:.1f}" height="18" rx="9"/>')
    lines.append(f'<line class="chance" x1="{x(chance):.1f}" x2="{x(chance):.1f}" y1="16" y2="42"/>')
    lines.append(_words(x(chance), 12, t("report.interval.chance"), "middle" if 0.1 < chance < 0.9 else "start"))
    lines.append(f'<circle class="point" cx="{x(accuracy):.1f}" cy="29" r="7"/>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        lines.append(_words(x(share), 58, percent(share, 0), anchor))
    return "".join(lines) + "</svg>"


def curves(history: Sequence[Epoch]) -> str:
    return (_curve(history, t("report.accuracy"), 1.0, lambda one: (one.train_accuracy, one.val_accuracy))
            + _curve(history, t("report.loss"), None, lambda one: (one.train_loss, one.val_loss)))


def _curve(history: Sequence[Epoch], title: str, top: float | None,
           values_of: Callable[[Epoch], tuple[float | None, float | None]]) -> str:
    """Two polylines, train and validation, over epochs; a dashed line where a stage of the recipe begins."""
    values = [value for one in history for value in values_of(one) if value is not None]
    highest = top or max(values, default=1.0) or 1.0
    epochs = [one.epoch for one in history]
    first, last = min(epochs, default=1), max(epochs, default=1)

    def x(epoch: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (epoch - first) / max(1, last - first)

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - min(value, highest) / highest)

    lines = [_open(WIDTH, HEIGHT, title), _words(_LEFT, 14, title, "start", "heading")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = highest * share
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        lines.append(_words(_LEFT - 6, y(value) + 4, percent(value, 0) if top else f"{value:.2f}", "end"))
    for before, one in zip((None, *history), history, strict=False):
        if before is None or one.stage != before.stage:
            middle = x(one.epoch if before is None else (before.epoch + one.epoch) / 2)
            if before is not None:
                lines.append(f'<line class="stage" x1="{middle:.1f}" x2="{middle:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
            # Losses fall and accuracies rise: there is room at the bottom of the one and at the top right of the other.
            if top or before is not None:
                lines.append(_words(middle + 4, HEIGHT - _BOTTOM - 6 if top else _TOP + 12, one.stage or "", "start"))
    for number, (kind, name) in enumerate((("train", t("report.train")), ("val", t("report.val")))):
        points = [(x(one.epoch), y(value)) for one in history for value in (values_of(one)[number],) if value is not None]
        drawn = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        lines.append(f'<polyline class="{kind}" points="{drawn}"/>')
        if len(points) < _FEW_POINTS:
            lines += [f'<circle class="{kind}" cx="{across:.1f}" cy="{down:.1f}" r="3"/>' for across, down in points]
        lines.append(_words(_LEFT + 130 * number, HEIGHT - 8, f"— {name}", "start", kind))
    lines.append(_words(WIDTH - _RIGHT, HEIGHT - 8, t("report.epochs", count=len(history)), "end"))
    return "".join(lines) + "</svg>"


def reliability(calibration: Calibration) -> str:
    """How often right over how sure, before and after the temperature; a circle's area is its number of images."""
    side, left, top = 300, 52, 16

    def x(share: float) -> float:
        return left + side * share

    def y(share: float) -> float:
        return top + side * (1 - share)

    lines = [_open(left + side + 150, top + side + 44, t("report.calibration")),
             f'<rect class="frame" x="{left}" y="{top}" width="{side}" height="{side}"/>']
    for share in (0.25, 0.5, 0.75):
        lines.append(f'<line class="grid" x1="{x(0)}" x2="{x(1)}" y1="{y(share)}" y2="{y(share)}"/>'
                     f'<line class="grid" x1="{x(share)}" x2="{x(share)}" y1="{y(0)}" y2="{y(1)}"/>')
    for share in (0.0, 0.5, 1.0):
        lines.append(_words(left - 6, y(share) + 4, percent(share, 0), "end"))
        lines.append(_words(x(share), top + side + 16, percent(share, 0), "middle"))
    lines.append(f'<line class="diagonal" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    most = max((one.count for side_of in (calibration.before, calibration.after) for one in side_of.bins), default=1) or 1
    for kind, measured, name in (("before", calibration.before, t("report.calibration.before")),
                                 ("after", calibration.after, t("report.calibration.after"))):
        lines += _circles(measured, kind, most, x, y)
        row = 40 if kind == "before" else 62
        lines.append(f'<circle class="{kind}" cx="{left + side + 22}" cy="{top + row}" r="6"/>')
        lines.append(_words(left + side + 34, top + row + 4, name, "start"))
    lines.append(_words(x(0.5), top + side + 36, t("report.calibration.sure"), "middle"))
    lines.append(f'<text x="14" y="{y(0.5)}" text-anchor="middle" transform="rotate(-90 14 {y(0.5)})">'
                 f'{html.escape(t("report.calibration.right"))}</text>')
    return "".join(lines) + "</svg>"


def _circles(measured: Reliability, kind: str, most: int, x: Callable[[float], float],
             y: Callable[[float], float]) -> list[str]:
    drawn = []
    for one in measured.bins:
        if one.count and one.confidence is not None and one.accuracy is not None:
            radius = 4 + 10 * sqrt(one.count / most)
            drawn.append(f'<circle class="{kind}" cx="{x(one.confidence):.1f}" cy="{y(one.accuracy):.1f}" r="{radius:.1f}"/>')
    return drawn


def _open(width: int, height: int, label: str, kind: str = "chart") -> str:
    return f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{html.escape(label)}">'


def _words(x: float, y: float, words: str, anchor: str, kind: str = "small") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'
