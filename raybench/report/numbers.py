"""Numbers as a reader sees them, on a terminal and on a page: one form each.

number(0.9234), span(2, 4), seconds(19.53), rate(20052.0), count(22_700_000)      # 0.923 (2–4) 19.5 20,052 22.7 M
"""

from __future__ import annotations

__all__ = ["brief", "count", "interval", "number", "p_value", "rate", "seconds", "share", "signed", "span"]


def number(value: float | None) -> str:
    """A metric's value."""
    return "–" if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def signed(value: float | None) -> str:
    """A difference of two values."""
    return "–" if value is None else f"{value:+.3f}"


def p_value(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None) -> str:
    return f"{number(low)} – {number(high)}" if low is not None else ""


def span(low: int | None, high: int | None) -> str:
    """Between which ranks."""
    return "" if low is None else f"({low})" if low == high else f"({low}–{high})"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def duration(value: float) -> str:
    """Of seconds: `45 s`, `3 min 20 s`, `7 h 5 min`."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def brief(value: float | None) -> str:
    """Seconds or milliseconds of any size, to three digits."""
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def count(value: int | None) -> str:
    """Of parameters or bytes, with a unit from a thousand on."""
    if value is None:
        return ""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return str(value)
