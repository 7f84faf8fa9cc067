"""Amounts as a person reads them."""

from ai_nano.core.texts import known, t


def amount(value: float, unit: str) -> str:
    """For example `12.3 MB`, `120 images`; units other than bytes have a word in the catalogue."""
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    return f"{value:.0f} {t('unit.' + unit)}" if known("unit." + unit) else f"{value:.0f} {unit}"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def in_minutes(seconds: float) -> str:
    """Seconds in the first minute only: it is read from afar."""
    return f"{int(seconds) // 60} min" if 60 <= seconds < 3600 else duration(int(seconds))


def duration(seconds: float) -> str:
    """For example `8 s`, `2 min 5 s`, `1 h 4 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
