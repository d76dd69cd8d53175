"""Small multiples on log-log axes as one SVG, readable on light and dark."""

import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT, COLUMNS = 440, 260, 2
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 54, 34
OURS, RIVAL, INK = "#2f7fd0", "#e07b00", "#808890"

Pairs = Sequence[tuple[int, float]]
Series = tuple[str, str, Pairs, Pairs, tuple[str, str]]


def draw(series: Sequence[Series]) -> str:
    """One panel for each (title, rival, our points, the rival's points, words for each): images to processor seconds."""
    rows = math.ceil(len(series) / COLUMNS)
    size = (
        f'width="{WIDTH * COLUMNS}" height="{HEIGHT * rows + 24}" viewBox="0 0 {WIDTH * COLUMNS} {HEIGHT * rows + 24}"'
    )
    panels = [_panel(one, index % COLUMNS * WIDTH, index // COLUMNS * HEIGHT) for index, one in enumerate(series)]
    key = (
        f'<text x="{LEFT}" y="{HEIGHT * rows + 14}" fill="{OURS}">ours, solid</text>'
        f'<text x="{LEFT + 90}" y="{HEIGHT * rows + 14}" fill="{RIVAL}">rival, dashed</text>'
    )
    style = f'font-family="system-ui, sans-serif" font-size="11" fill="{INK}"'
    title = "<title>Processor seconds over the number of images, log-log, for each part and its rival</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {style}>{title}{"".join(panels)}{key}</svg>\n'


def _panel(one: Series, x: int, y: int) -> str:
    title, rival, ours, beside, (ours_words, rival_words) = one
    everything = [*ours, *beside]
    scale = _Scale([pair[0] for pair in everything], [pair[1] for pair in everything])
    parts = [
        f'<text x="{LEFT}" y="16" font-size="12" font-weight="600">{html.escape(title)}</text>',
        f'<text x="{LEFT}" y="30" font-size="10">{html.escape(ours_words)}</text>',
        f'<text x="{LEFT}" y="42" font-size="10">{html.escape(f"{rival_words}: {rival}")}</text>',
        *scale.grid(),
        _line(ours, scale, OURS, ""),
        _line(beside, scale, RIVAL, ' stroke-dasharray="5 4"'),
    ]
    return f'<g transform="translate({x} {y})">{"".join(parts)}</g>'


class _Scale:
    """Log axes over the powers of ten around the values."""

    def __init__(self, numbers: Sequence[float], seconds: Sequence[float]):
        self.x = (math.log10(min(numbers)) - 0.05, math.log10(max(numbers)) + 0.05)
        self.y = (math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)) + 1e-9))

    def place(self, number: float, seconds: float) -> tuple[float, float]:
        across = (math.log10(number) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(seconds) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[str]:
        lines = []
        for power in range(self.y[0], self.y[1] + 1):
            _, y = self.place(10 ** self.x[0], 10**power)
            lines.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{INK}" stroke-opacity=".25"/>')
            lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
        for number in (1_000, 10_000, 60_000):
            if self.x[0] <= math.log10(number) <= self.x[1]:
                x, _ = self.place(number, 10 ** self.y[0])
                lines.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number:,}</text>')
        return lines


def _line(pairs: Pairs, scale: _Scale, color: str, dashes: str) -> str:
    places = [scale.place(*pair) for pair in pairs]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places)
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>{dots}' if path else ""
