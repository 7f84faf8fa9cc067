"""The report of a training as one HTML file that needs nothing else: curves, confusion matrix, samples.

Its figures are report.json's, written by the training; its pictures are the workspace's own images. The page loads
nothing, whatever the names in it say.
"""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.core import answers, bundle, names
from ai_nano.core.answers import optional
from ai_nano.core.figures import percent
from ai_nano.core.texts import current_language, t

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
.facts{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0}.facts div{background:#f2f5f9;border-radius:8px;padding:.7rem 1rem}
.facts b{display:block;font-size:1.5rem}table{border-collapse:collapse}td,th{padding:.35rem .7rem;text-align:right}
th{font-weight:600}.samples{display:flex;flex-wrap:wrap;gap:.8rem}.samples figure{margin:0;width:200px}
.samples img{width:200px;border-radius:6px;display:block}.wrong img{outline:3px solid #c4372f}
figcaption{font-size:.85rem}svg{max-width:100%;height:auto}
"""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MOST_CLASSES = 1000
MOST_EPOCHS = 10_000
# As many as the training chooses of a few classes: pictures in the page, each of some 10 kB.
MOST_SAMPLES = 400
PARTS = ("train", "val", "test")
METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Fresh:
    """Figures of takes that the split never saw: top-1 accuracy, frames, confusion matrix (rows: shown)."""

    accuracy: float
    frames: int
    confusion: Sequence[Sequence[int]]


def load(folder: Path) -> dict[str, Any]:
    """report.json in `folder`, as `render` wants it: what is not of its shape is WorkFailed `bundle.damaged`."""
    raw = bundle.read_json(folder, bundle.REPORT_JSON)
    try:
        return _figures(raw)
    except answers.Nonsense as error:
        raise bundle.damaged(folder, bundle.REPORT_JSON) from error


def _figures(raw: Mapping[str, Any]) -> dict[str, Any]:
    classes = answers.texts(raw, "classes", MOST_CLASSES, names.LONGEST_LABEL)
    images, seconds = answers.mapping(raw, "images"), answers.mapping(raw, "seconds")
    per_class = answers.mapping(raw, "per_class", MOST_CLASSES)
    return {
        "model": answers.text(raw, "model"), "recipe": answers.text(raw, "recipe"), "arch": answers.text(raw, "arch"),
        "classes": classes, "images": {part: answers.count(images, part) for part in PARTS},
        "seconds": {"total": optional(answers.number, seconds, "total", low=0)},
        "val_accuracy": optional(answers.fraction, raw, "val_accuracy"),
        "test_accuracy": optional(answers.fraction, raw, "test_accuracy"),
        "history": [_epoch(one) for one in answers.objects(raw, "history", MOST_EPOCHS)],
        "confusion": _matrix(raw, len(classes)),
        "per_class": {answers.shown(name): _of_a_class(answers.mapping(per_class, name)) for name in per_class},
        "samples": [_sample(one) for one in answers.objects(raw, "samples")[:MOST_SAMPLES]]}


def _epoch(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"epoch": answers.count(raw, "epoch", 0, 1_000_000),
            **{key: optional(answers.number, raw, key, low=0) for key in METRICS}}


def _matrix(raw: Mapping[str, Any], size: int) -> list[list[int]]:
    rows = [answers.items({"row": row}, "row", size) for row in answers.items(raw, "confusion", size)]
    if len(rows) != size or any(len(row) != size for row in rows):
        raise answers.Nonsense("confusion")
    return [[answers.count({"cell": cell}, "cell") for cell in row] for row in rows]


def _of_a_class(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"precision": optional(answers.fraction, raw, "precision"), "recall": optional(answers.fraction, raw, "recall"),
            "images": answers.count(raw, "images")}


def _sample(raw: Mapping[str, Any]) -> dict[str, Any]:
    longest = answers.LONGEST_PATH
    return {"file": answers.text(raw, "file", longest), "class": answers.text(raw, "class", names.LONGEST_LABEL),
            "predicted": answers.text(raw, "predicted", names.LONGEST_LABEL),
            "confidence": optional(answers.fraction, raw, "confidence")}


def render(report: Mapping[str, Any], thumbnail: Callable[[str], bytes | None], fresh: Fresh | None = None) -> str:
    """The page for report.json's content; `thumbnail(file)` gives a small JPEG of an image of the split, or None."""
    parts = [
        f"<h1>{_text('report.title', model=report['model'])}</h1>",
        _facts(report),
        f"<h2>{_text('report.curves')}</h2>", _curves(report["history"]),
        f"<h2>{_text('report.confusion')}</h2>", f"<p>{_text('report.confusion.how')}</p>",
        _confusion(report["classes"], report["confusion"]),
        f"<h2>{_text('report.per_class')}</h2>", _per_class(report["per_class"]),
        f"<h2>{_text('report.samples')}</h2>", _samples(report["samples"], thumbnail),
    ]
    if fresh is not None:
        words = _text("report.fresh.how", frames=fresh.frames, accuracy=percent(fresh.accuracy),
                      test=percent(report["test_accuracy"]))
        parts += [f"<h2>{_text('report.fresh')}</h2>", f"<p>{words}</p>", _confusion(report["classes"], fresh.confusion)]
    title = _text("report.title", model=report["model"])
    return (f'<!doctype html><html lang="{current_language()}"><meta charset="utf-8"><title>{title}</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><body>{"".join(parts)}</body></html>\n')


def _text(code: str, **params: object) -> str:
    return html.escape(t(code, **params))


def _facts(report: Mapping[str, Any]) -> str:
    images, seconds = report["images"], report["seconds"]["total"]
    facts = [
        (percent(report["test_accuracy"]), t("report.test_accuracy")),
        (percent(report["val_accuracy"]), t("report.val_accuracy")),
        (f"{images['train']} / {images['val']} / {images['test']}", t("report.images")),
        ("–" if seconds is None else f"{seconds:.1f} s", t("report.seconds")),
        (f"{report['recipe']}, {report['arch']}", t("report.recipe")),
    ]
    return '<div class="facts">' + "".join(
        f"<div><b>{html.escape(value)}</b>{html.escape(name)}</div>" for value, name in facts) + "</div>"


def _curves(history: Sequence[Mapping[str, Any]]) -> str:
    return _chart(history, "accuracy", t("report.accuracy"), 1.0) + _chart(history, "loss", t("report.loss"), None)


def _chart(history: Sequence[Mapping[str, Any]], what: str, title: str, top: float | None) -> str:
    """Two polylines, train and validation, over epochs."""
    width, height, left, bottom = 460, 220, 46, 30
    series = [(f"train_{what}", "#2f6fb5", t("report.train")), (f"val_{what}", "#d0691c", t("report.val"))]
    values = [one[key] for one in history for key, _, _ in series if one.get(key) is not None]
    highest = top or max(values, default=1.0) or 1.0
    epochs = max((int(one["epoch"]) for one in history), default=1)

    def x(epoch: float) -> float:
        return left + (width - left - 10) * (epoch - 1) / max(1, epochs - 1)

    def y(value: float) -> float:
        return 24 + (height - 24 - bottom) * (1 - min(value, highest) / highest)

    lines = [f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{html.escape(title)}">'
             f'<text x="{left}" y="15" font-size="13" font-weight="600">{html.escape(title)}</text>']
    for share in (0, 0.5, 1):
        value = highest * share
        label = f"{100 * value:.0f} %" if what == "accuracy" else f"{value:.2f}"
        lines.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#d7dde5"/>'
                     f'<text x="{left - 6}" y="{y(value) + 4:.1f}" font-size="11" text-anchor="end">{label}</text>')
    for number, (key, colour, name) in enumerate(series):
        points = " ".join(f"{x(one['epoch']):.1f},{y(one[key]):.1f}" for one in history if one.get(key) is not None)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{left + 130 * number}" y="{height - 6}" font-size="12" fill="{colour}">— {html.escape(name)}'
                     '</text>')
    lines.append(f'<text x="{width - 10}" y="{height - 6}" font-size="12" text-anchor="end">'
                 f'{_text("report.epochs", count=epochs)}</text></svg>')
    return "".join(lines)


def _confusion(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in classes)
    rows = []
    for number, (name, row) in enumerate(zip(classes, matrix, strict=True)):
        total = sum(row) or 1
        cells = "".join(
            f'<td style="background:rgba({"47,111,181" if number == column else "196,55,47"},{0.75 * count / total:.2f})">'
            f"{count}</td>" for column, count in enumerate(row))
        rows.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _per_class(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    names = ("report.precision", "report.recall", "report.count")
    head = f"<tr><th></th>{''.join(f'<th>{_text(name)}</th>' for name in names)}</tr>"
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{percent(one['precision'])}</td><td>{percent(one['recall'])}</td>"
                   f"<td>{one['images']}</td></tr>" for name, one in per_class.items())
    return f"<table>{head}{rows}</table>"


def _samples(samples: Sequence[Mapping[str, Any]], thumbnail: Callable[[str], bytes | None]) -> str:
    figures = []
    for sample in samples:
        picture = thumbnail(str(sample["file"]))
        right = sample["class"] == sample["predicted"]
        image = ""
        if picture is not None:
            data = base64.b64encode(picture).decode()
            image = f'<img alt="{html.escape(sample["class"])}" src="data:image/jpeg;base64,{data}">'
        code = "report.right" if right else "report.wrong"
        words = _text(code, name=sample["class"], predicted=sample["predicted"], confidence=percent(sample["confidence"]))
        figures.append(f'<figure class="{"right" if right else "wrong"}">{image}<figcaption>{words}</figcaption></figure>')
    return f'<div class="samples">{"".join(figures)}</div>'
