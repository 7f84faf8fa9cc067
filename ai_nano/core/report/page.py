"""The report of a training as one HTML file that needs nothing else, on a screen and on paper.

Its figures are report.json's; its pictures are the workspace's own images. The page loads nothing, whatever the names in
it say.
"""

import base64
import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from ai_nano.core.figures import duration, percent
from ai_nano.core.report import charts
from ai_nano.core.report.figures import PARTS, Report, Sample
from ai_nano.core.report.style import STYLE
from ai_nano.core.texts import current_language, t

Thumbnail = Callable[[str], bytes | None]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# A table of more classes than this is no picture of anything.
LARGEST_TABLE = 30
MIXED_UP = 12
SHOWN_REFUSED = 10
# Fewer test images than this, and chance decides most of the decimals.
FEW_IMAGES = 200
_NEAR_ONE = 0.05


@dataclass(frozen=True)
class Fresh:
    """Figures of takes that the split never saw: top-1 accuracy, frames, confusion matrix (rows: shown)."""

    accuracy: float
    frames: int
    confusion: Sequence[Sequence[int]]


def render(report: Report, thumbnail: Thumbnail, fresh: Fresh | None = None) -> str:
    """The page; `thumbnail(file)` gives a small JPEG of an image of the split, or None."""
    sections = [
        _headline(report), _fresh(report, fresh), _confusion_of(report), _per_class(report), _mistakes(report, thumbnail),
        _calibration(report), _curves(report), _rights(report, thumbnail), _data(report), _exported(report), _measures(report),
    ]
    title = _text("report.title", model=report.model)
    head = f'<header><h1>{title}</h1><p class="quiet">{_chips(report)}</p></header>'
    return (f'<!doctype html><html lang="{current_language()}"><meta charset="utf-8"><title>{title}</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
            f'<body>{head}{"".join(sections)}</body></html>\n')


def _text(code: str, **params: object) -> str:
    return html.escape(t(code, **params))


def _section(code: str, *parts: str) -> str:
    return f'<section><h2>{_text(code)}</h2>{"".join(parts)}</section>'


def _paragraph(code: str, **params: object) -> str:
    return f"<p>{_text(code, **params)}</p>"


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Of escaped cells; the first of each row is its heading."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _chips(report: Report) -> str:
    said = [report.recipe, report.arch, report.device, report.created and report.created.replace("T", " ").removesuffix("Z")]
    return " · ".join(html.escape(one) for one in said if one)


# ---- how good --------------------------------------------------------------------------------------------------------


def _headline(report: Report) -> str:
    tested, right = report.tested, report.right
    if tested == 0 or report.test_accuracy is None:
        words = _paragraph("report.no_test")
    else:
        sentences = [_text("report.sentence", count=tested, right=right)]
        if report.interval is not None:
            low, high = report.interval
            code = "report.interval.few" if tested < FEW_IMAGES else "report.interval"
            sentences.append(_text(code, low=percent(low, 0), high=percent(high, 0)))
        chance = 1 / len(report.classes)
        sentences.append(_text("report.chance", share=percent(chance, 0)))
        words = (f'<div class="headline"><div><b>{percent(report.test_accuracy)}</b>{_text("report.test_accuracy")}</div>'
                 f'<p>{" ".join(sentences)}</p></div>'
                 + charts.interval(report.test_accuracy, report.interval, chance))
    images = " / ".join(str(report.images[part]) for part in PARTS)
    facts = [(percent(report.val_accuracy), "report.val_accuracy"), (images, "report.images"),
             ("–" if report.total_s is None else f"{report.total_s:.1f} s", "report.seconds")]
    boxes = "".join(f"<div><b>{html.escape(value)}</b>{_text(code)}</div>" for value, code in facts)
    return _section("report.headline", words, f'<div class="facts">{boxes}</div>')


def _fresh(report: Report, fresh: Fresh | None) -> str:
    if fresh is None:
        return ""
    return _section("report.fresh",
                    _paragraph("report.fresh.how", frames=fresh.frames, accuracy=percent(fresh.accuracy),
                               test=percent(report.test_accuracy)),
                    _confusion(report.classes, fresh.confusion))


def _confusion_of(report: Report) -> str:
    mixed = sorted(((count, name, taken) for name, row in zip(report.classes, report.confusion, strict=True)
                    for taken, count in zip(report.classes, row, strict=True) if count and name != taken),
                   key=lambda one: -one[0])
    totals = dict(zip(report.classes, map(sum, report.confusion), strict=True))
    if not report.tested:
        return ""
    words = _paragraph("report.confusion.none") if not mixed else "".join(
        _paragraph("report.confusion.worst", name=name, predicted=taken, count=count, total=totals[name])
        for count, name, taken in mixed[:1])
    if len(report.classes) <= LARGEST_TABLE:
        return _section("report.confusion", _paragraph("report.confusion.how"), _confusion(report.classes, report.confusion),
                        words)
    rows = [(html.escape(name), html.escape(taken), str(count)) for count, name, taken in mixed[:MIXED_UP]]
    head = (_text("report.class"), _text("report.predicted"), _text("report.count"))
    return _section("report.confusion", _paragraph("report.confusion.large", count=len(report.classes)), _table(head, rows),
                    words)


def _confusion(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    if len(classes) > LARGEST_TABLE:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in classes)
    rows = []
    for number, (name, row) in enumerate(zip(classes, matrix, strict=True)):
        total = sum(row) or 1
        cells = "".join(
            f'<td class="{_kind(number == column, count)}" style="--share:{count / total:.2f}">{count}</td>'
            for column, count in enumerate(row))
        rows.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
    return f'<div class="wide"><table class="confusion"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _kind(right: bool, count: int) -> str:
    return "empty" if not count else "hit" if right else "miss"


def _per_class(report: Report) -> str:
    def bar(share: float | None) -> str:
        return f'<div class="bar"><i style="width:{100 * (share or 0):.0f}%"></i></div><span>{percent(share)}</span>'

    head = ("", *map(_text, ("report.recall", "report.precision", "report.count")))
    rows = [(html.escape(name), bar(one.recall), bar(one.precision), str(one.images)) for name, one in report.per_class.items()]
    return _section("report.per_class", _paragraph("report.per_class.how"), _table(head, rows))


def _mistakes(report: Report, thumbnail: Thumbnail) -> str:
    wrong = [one for one in report.samples if not one.right]
    if not report.tested:
        return ""
    if not wrong:
        return _section("report.mistakes", _paragraph("report.mistakes.none"))
    return _section("report.mistakes", _paragraph("report.mistakes.how"), _pictures(wrong, thumbnail))


def _rights(report: Report, thumbnail: Thumbnail) -> str:
    right = [one for one in report.samples if one.right]
    return _section("report.rights", _pictures(right, thumbnail)) if right else ""


def _pictures(samples: Iterable[Sample], thumbnail: Thumbnail) -> str:
    figures = []
    for sample in samples:
        picture = thumbnail(sample.file)
        image = '<div class="none"></div>'
        if picture is not None:
            data = base64.b64encode(picture).decode()
            image = f'<img alt="{html.escape(sample.name)}" src="data:image/jpeg;base64,{data}">'
        kind = "right" if sample.right else "wrong"
        words = _text(f"report.{kind}", name=sample.name, predicted=sample.predicted, confidence=percent(sample.confidence))
        figures.append(f'<figure class="{kind}">{image}<figcaption>{words}</figcaption></figure>')
    return f'<div class="samples">{"".join(figures)}</div>'


# ---- how it came about -----------------------------------------------------------------------------------------------


def _calibration(report: Report) -> str:
    found = report.calibration
    if found is None or found.before.ece is None or found.after.ece is None:
        return ""
    direction = ("report.temperature.same" if abs(found.temperature - 1) < _NEAR_ONE
                 else "report.temperature.lower" if found.temperature > 1 else "report.temperature.higher")
    words = [_paragraph("report.calibration.how"),
             _paragraph("report.calibration.ece", before=percent(found.before.ece), after=percent(found.after.ece)),
             f'<p>{_text("report.temperature", temperature=f"{found.temperature:.2f}")} {_text(direction)}</p>']
    if report.tested < FEW_IMAGES:
        words.append(_paragraph("report.calibration.few", count=report.tested))
    chart = charts.reliability(found)
    return _section("report.calibration", f'<div class="beside">{chart}<div>{"".join(words)}</div></div>')


def _curves(report: Report) -> str:
    parts = []
    if report.history:
        parts += [_paragraph("report.curves.how"), f'<div class="charts">{charts.curves(report.history)}</div>']
    if len(report.stages) > 1:
        head = map(_text, ("report.stage", "report.stage.seconds", "report.stage.epochs", "report.val_accuracy",
                           "report.stage.taken"))
        parts.append(_table(head, [
            (html.escape(one.stage), "–" if one.seconds is None else duration(one.seconds),
             "–" if one.epochs is None else str(one.epochs), percent(one.val_accuracy),
             _text("report.yes") if one.taken else _text("report.no"))
            for one in report.stages]))
    return _section("report.curves", *parts) if parts else ""


def _data(report: Report) -> str:
    if not report.data:
        return ""
    head = ("", *map(_text, ("report.train", "report.val", "report.test", "report.total")))
    rows = [(html.escape(name), *(str(parts[part]) for part in PARTS), str(sum(parts.values())))
            for name, parts in report.data.items()]
    size = [] if not report.width or not report.height else [
        _paragraph("report.data.size", width=report.width, height=report.height)]
    return _section("report.data", _table(head, rows), *size)


def _exported(report: Report) -> str:
    found = report.export
    if found is None:
        return _section("report.export", _paragraph("report.export.none"))
    facts = {"images": found.images, "difference": _small(found.max_difference), "count": len(found.refused)}
    if found.refused:
        shown = found.refused[:SHOWN_REFUSED]
        words = _paragraph("report.export.refused", **facts)
        words += "<ul>" + "".join(f"<li>{html.escape(one)}</li>" for one in shown) + "</ul>"
        if len(found.refused) > len(shown):
            words += _paragraph("report.export.more", count=len(found.refused) - len(shown))
    else:
        words = _paragraph("report.export.passed", **facts)
    if found.fp16 is not None:
        words += _paragraph("report.fp16", images=found.fp16.images, agreement=percent(found.fp16.agreement),
                            difference=_small(found.fp16.max_difference), accuracy=percent(found.fp16.accuracy))
    return _section("report.export", words)


def _small(share: float) -> str:
    """A bound of differences, rounded up to what a person still tells apart."""
    return percent(max(1, ceil(round(share * 10_000, 6))) / 10_000, 2)


def _measures(report: Report) -> str:
    def milliseconds(value: float | None) -> str | None:
        return None if value is None else f"{value:.1f} ms"

    def size(value: int | None) -> str | None:
        return None if value is None else f"{value / 1e6:.1f} MB"

    def seconds(value: float | None) -> str | None:
        return None if value is None else f"{value:.1f} s"

    export = report.export
    rows: list[tuple[str, str | None]] = [
        ("report.measure.parameters", None if report.parameters is None else f"{report.parameters / 1e6:.2f} M"),
        ("report.measure.bytes", size(report.bytes)), ("report.measure.onnx", size(export.bytes if export else None)),
        ("report.measure.milliseconds", milliseconds(report.milliseconds)),
        ("report.measure.onnx_milliseconds", milliseconds(export.milliseconds if export else None)),
        ("report.measure.start", seconds(report.start_s)), ("report.measure.first_image", seconds(report.first_image_s)),
        ("report.measure.total", seconds(report.total_s)),
        *((f"report.setting.{name}", None if value is None else f"{value:g}" if value < 1e6 else f"{value:.0f}")
          for name, value in report.settings.items()),
        ("report.measure.checkpoint", report.checkpoint_sha256 and report.checkpoint_sha256[:12])]
    known = [(_text(code), html.escape(value)) for code, value in rows if value is not None]
    return _section("report.measures", _table((), known)) if known else ""
