"""A screen as an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 8.4, 20, 16
TEXT, PAPER, BAR = "#d8dee9", "#20242c", "#3b4252"
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def svg(lines: Sequence[str], title: str) -> str:
    """Return the lines of a terminal as an SVG document."""
    wide = round(max(map(len, lines)) * WIDTH + 2 * MARGIN)
    high = len(lines) * HEIGHT + 2 * MARGIN + 24
    rows = [
        f'<text x="{MARGIN}" y="{24 + MARGIN + 14 + HEIGHT * at}" xml:space="preserve" '
        f'textLength="{len(line) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(line)}</text>"
        for at, line in enumerate(lines)
        if line
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
            f'viewBox="0 0 {wide} {high}" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{wide}" height="{high}" rx="8" fill="{PAPER}"/>',
            f'<path d="M0 24V8a8 8 0 0 1 8-8H{wide - 8}a8 8 0 0 1 8 8V24z" fill="{BAR}"/>',
            f'<g font-family="{FONT}" font-size="14" fill="{TEXT}">',
            *rows,
            "</g>",
            "</svg>\n",
        ]
    )
