"""Figures → a bar chart in SVG, and a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["chart", "table"]

_BAR, _GAP, _LEFT, _WIDTH, _HEAD = 16, 6, 150, 460, 34
_COLOURS = {"raw cryptography": "#9aa5b1", "jwt_guard": "#1f6f5c"}
_OTHER = "#c9d2da"


def chart(title: str, groups: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Draw each group of bars (name → length) under its own name, all to one scale."""
    longest = max(value for group in groups.values() for value in group.values())
    rows: list[str] = []
    y = _HEAD
    for name, group in groups.items():
        y += _GAP
        rows.append(f'<text x="8" y="{y + 13}" font-weight="bold">{escape(name)}</text>')
        y += _BAR + _GAP
        for contestant, value in group.items():
            length = max(1.0, _WIDTH * value / longest)
            rows.append(
                f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(contestant)}</text>'
                f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" '
                f'fill="{_COLOURS.get(contestant, _OTHER)}"/>'
                f'<text x="{_LEFT + length + 6:.1f}" y="{y + 12}">{value:.4g} {escape(unit)}</text>'
            )
            y += _BAR + _GAP
    height, width = y + _GAP, _LEFT + _WIDTH + 110
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#1c2733" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="8" y="20" font-size="14" font-weight="bold">{escape(title)}</text>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that is also easy to read as plain text."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
