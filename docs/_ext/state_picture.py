"""A state machine as SVG: boxes on a grid, one arrow a pair of states, in the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import hypot

BOX_WIDTH, BOX_HEIGHT = 168, 40
STEP_X, STEP_Y = 350, 190
MARGIN, TOP = 60, 90
LINE = 15


def draw(
    transitions: Iterable[tuple[str, str, str]], rows: Sequence[Sequence[str]], *, quiet: frozenset[str] = frozenset()
) -> str:
    """`rows`: which state stands where; "." leaves a place empty; states not named get a row of their own.

    `quiet`: states whose incoming arrows are drawn faintly and without a label.
    """
    arrows: dict[tuple[str, str], list[str]] = {}
    states: list[str] = []
    for source, label, target in transitions:
        arrows.setdefault((source, target), []).append(label)
        states += [name for name in (source, target) if name not in states]
    placed = {name for row in rows for name in row}
    grid = [*rows, rest] if (rest := [name for name in states if name not in placed]) else list(rows)
    place = {
        name: (MARGIN + BOX_WIDTH / 2 + column * STEP_X, TOP + BOX_HEIGHT / 2 + row * STEP_Y)
        for row, names in enumerate(grid)
        for column, name in enumerate(names)
        if name in states
    }
    width = MARGIN * 2 + BOX_WIDTH + STEP_X * (max(map(len, grid)) - 1)
    height = TOP + MARGIN + BOX_HEIGHT + STEP_Y * (len(grid) - 1)
    parts = [
        f'<svg class="states" viewBox="0 0 {width} {height}" width="100%" role="img" '
        'aria-label="states and transitions" fill="none" stroke="currentColor" '
        'style="max-width:62rem;font:12px sans-serif">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto" '
        'markerUnits="userSpaceOnUse"><path d="M0 0 L8 4 L0 8 z" fill="currentColor" stroke="none"/></marker></defs>',
    ]
    for (source, target), labels in arrows.items():
        faint = target in quiet
        if source == target:
            if not faint:
                parts.append(_loop(place[source], labels))
            continue
        both = (target, source) in arrows
        parts.append(_arrow(place[source], place[target], [] if faint else labels, both, faint))
    parts += [_box(place[name], name) for name in states]
    return "\n".join([*parts, "</svg>"])


def _box(centre: tuple[float, float], name: str) -> str:
    x, y = centre
    return (
        f'<rect x="{x - BOX_WIDTH / 2}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="9" '
        f'style="fill:var(--color-background-secondary,#f6f8fa)"/>{_text(x, y + 5, [name], weight="600", size=14)}'
    )


def _text(
    x: float, y: float, lines: Sequence[str], *, weight: str = "400", size: int = 12, anchor: str = "middle"
) -> str:
    spans = "".join(
        f'<tspan x="{x:.0f}" dy="{LINE if n else 0}">{escape(line)}</tspan>' for n, line in enumerate(lines)
    )
    halo = "paint-order:stroke;stroke:var(--color-background-primary,#fff);stroke-width:4px;fill:currentColor"
    if weight != "400":
        halo = "stroke:none;fill:currentColor"
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" '
        f'style="{halo}">{spans}</text>'
    )


def _loop(centre: tuple[float, float], labels: Sequence[str]) -> str:
    x, y = centre[0] - 50, centre[1] - BOX_HEIGHT / 2
    path = f'<path d="M{x - 22} {y} C{x - 36} {y - 30} {x + 36} {y - 30} {x + 22} {y}" marker-end="url(#tip)"/>'
    return path + _text(x + 38, y - 27 - LINE * (len(labels) - 1), labels, anchor="end")


def _arrow(start: tuple[float, float], end: tuple[float, float], labels: Sequence[str], both: bool, faint: bool) -> str:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy)
    nx, ny = -dy / length, dx / length
    bend = 26 if both or length > STEP_X * 1.2 else 0
    if length > STEP_X * 1.2 and not dy:
        bend = 62
    shift = 9 if both else 0
    sx, sy = _edge(start, dx, dy)
    ex, ey = _edge(end, -dx, -dy)
    sx, sy, ex, ey = sx + nx * shift, sy + ny * shift, ex + nx * shift, ey + ny * shift
    mx, my = (sx + ex) / 2 + nx * bend * 2, (sy + ey) / 2 + ny * bend * 2
    style = ' stroke-opacity=".3"' if faint else ""
    path = f'<path d="M{sx:.0f} {sy:.0f} Q{mx:.0f} {my:.0f} {ex:.0f} {ey:.0f}" marker-end="url(#tip)"{style}/>'
    if not labels:
        return path
    x, y = (sx + ex) / 2 + nx * bend, (sy + ey) / 2 + ny * bend
    y -= 4 + LINE * (len(labels) - 1) / 2
    if abs(dy) <= abs(dx):
        return path + _text(x, y, labels)
    if both and dy > 0:
        return path + _text(x - 8, y, labels, anchor="end")
    return path + _text(x + 8, y, labels, anchor="start")


def _edge(centre: tuple[float, float], dx: float, dy: float) -> tuple[float, float]:
    """Where a line from the centre in this direction leaves the box."""
    scale = min(
        BOX_WIDTH / 2 / abs(dx) if dx else float("inf"),
        BOX_HEIGHT / 2 / abs(dy) if dy else float("inf"),
    )
    return centre[0] + dx * scale, centre[1] + dy * scale
