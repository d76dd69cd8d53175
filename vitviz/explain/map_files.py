"""A map over a picture as files to take away: numbers, pixels, and an SVG that says what it shows."""

import base64
import html
import io
import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image

_SIDE = 672  # px of the longer side: three screen pixels for one of a picture fed at 224
_BAR, _LINE = 14, 20
_LINE_LENGTH = 92


def npy(values: np.ndarray) -> bytes:
    """An array as it was computed, float32, for ``numpy.load``."""
    file = io.BytesIO()
    np.save(file, np.asarray(values, np.float32), allow_pickle=False)
    return file.getvalue()


def overlay_pixels(
    picture: np.ndarray,
    heat: np.ndarray,
    colors: Sequence[str],
    *,
    alpha: float = 0.5,
    smooth: bool = False,
    hides_zero: bool = False,
    side: int = _SIDE,
) -> np.ndarray:
    """Heat (rows, columns), 0..1, over a picture (H, W, 3) uint8: (height, width, 3) uint8, the longer side ``side`` px.

    ``colors``: hex texts from 0 to 1, blended between; ``alpha``: 0..1, how far they hide the picture; ``hides_zero``: where heat
    is 0 the picture shows.
    """
    height, width = (round(one * side / max(picture.shape[:2])) for one in picture.shape[:2])
    kind = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    scaled = np.asarray(Image.fromarray(np.asarray(heat, np.float32)).resize((width, height), kind))
    under = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST), np.float32)
    levels = np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)
    hidden = alpha * (levels > 0)[..., None] if hides_zero else alpha
    return np.rint((1 - hidden) * under + hidden * color_ramp(colors)[levels]).astype(np.uint8)


def color_ramp(colors: Sequence[str]) -> np.ndarray:
    """(256, 3) float32, 0..255, between hex texts."""
    stops = np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in colors], np.float32)
    places = np.linspace(0, len(stops) - 1, 256)
    return np.stack([np.interp(places, np.arange(len(stops)), stops[:, part]) for part in range(3)], axis=1)


def png(pixels: np.ndarray, recipe: str) -> bytes:
    """Pixels (H, W, 3) uint8 as a PNG whose text chunk ``Description`` says how they were made."""
    from PIL.PngImagePlugin import PngInfo

    about, file = PngInfo(), io.BytesIO()
    about.add_itxt("Description", recipe)
    Image.fromarray(pixels).save(file, "PNG", pnginfo=about)
    return file.getvalue()


def svg(pixels: np.ndarray, colors: Sequence[str], *, title: str, low: float, high: float, recipe: str) -> bytes:
    """Pixels (H, W, 3) uint8 with a colour bar called ``title`` from ``low`` to ``high``, and ``recipe`` below, as an SVG."""
    height, width = pixels.shape[:2]
    lines = textwrap.wrap(recipe, _LINE_LENGTH)
    total = height + 3 * _LINE + _BAR + _LINE * len(lines)
    stops = "".join(
        f'<stop offset="{place / (len(colors) - 1):.4f}" stop-color="{color}"/>' for place, color in enumerate(colors)
    )
    bar_top = height + _LINE
    texts = [(4, "start", f"{low:.3g}"), (width / 2, "middle", title), (width - 4, "end", f"{high:.3g}")]
    numbers = "".join(_text(x, bar_top + _BAR + 15, text, anchor) for x, anchor, text in texts)
    words = "".join(
        _text(4, bar_top + _BAR + 2 * _LINE + 10 + _LINE * row, line, "start") for row, line in enumerate(lines)
    )
    content = base64.b64encode(png(pixels, recipe)).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" viewBox="0 0 {width} {total}">'
        f"<desc>{html.escape(recipe)}</desc>"
        f'<defs><linearGradient id="ramp">{stops}</linearGradient></defs>'
        f'<rect width="{width}" height="{total}" fill="white"/>'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{content}"/>'
        f'<rect y="{bar_top}" width="{width}" height="{_BAR}" fill="url(#ramp)"/>{numbers}{words}</svg>'
    ).encode()


def _text(x: float, y: float, text: str, anchor: str) -> str:
    style = 'font-family="sans-serif" font-size="13"'
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {style}>{html.escape(text)}</text>'
