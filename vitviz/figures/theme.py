"""The colours and the plotly layout that every figure and component shares, on light and dark backgrounds alike."""

import html
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ACCENT_LIGHT = "#2b69af"
ACCENT_DARK = "#7db4ee"

# Source: Petroff 2021, "Accessible Color Sequences for Data Visualization", the sequence of ten (petroff10).
CLUSTER_COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
UNKNOWN_COLOR = "#9aa0a6"
MOVED_COLORS = {"moved": "#e76300", "stayed": "#94a4a2"}
RIGHT_WRONG_COLORS = {"right": "#3f90da", "wrong": "#e76300", "unknown": UNKNOWN_COLOR}

SEQUENTIAL = "Viridis"
SEQUENTIAL_COLORS = (
    "#440154",
    "#472d7b",
    "#3b528b",
    "#2c728e",
    "#21918c",
    "#28ae80",
    "#5ec962",
    "#addc30",
    "#fde725",
)

DIVERGING = "RdBu_r"
# ColorBrewer's RdBu from blue to red: for values of either sign, white at 0
DIVERGING_COLORS = (
    "#053061",
    "#2166ac",
    "#4393c3",
    "#92c5de",
    "#f7f7f7",
    "#f4a582",
    "#d6604d",
    "#b2182b",
    "#67001f",
)

_GRID_STEPS = 12
_LIGHTNESS_RANGE = (38.0, 82.0)
_MAX_CHROMA = 70.0


@lru_cache(maxsize=8)
def cluster_colors(num: int) -> tuple[str, ...]:
    """``num`` colours as hex text: the fixed ten, then each next one as far from all before it as CIELAB allows.

    Raises ValueError for a negative ``num``.
    """
    if num < 0:
        raise ValueError(f"num={num} must be at least 0")
    colors = list(CLUSTER_COLORS[:num])
    if num <= len(CLUSTER_COLORS):
        return tuple(colors)
    candidates = _candidate_colors()
    positions = _lab(candidates)
    distances = np.linalg.norm(positions[:, None] - _lab(_rgb(colors))[None], axis=2).min(axis=1)
    while len(colors) < num:
        farthest = int(distances.argmax())
        colors.append("#" + "".join(f"{round(value * 255):02x}" for value in candidates[farthest]))
        distances = np.minimum(distances, np.linalg.norm(positions - positions[farthest], axis=1))
    return tuple(colors)


def literal(text: str) -> str:
    """``text`` for plotly, which else reads tags such as links in names, ticks and hover boxes."""
    return html.escape(str(text), quote=False)


def layout(figure: "Figure", *, height: int) -> "Figure":
    """Give ``figure`` the shared look, ``height`` pixels tall, and return it. Colours of text come from Streamlit's theme."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 13},
        colorway=list(CLUSTER_COLORS),
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        legend_traceorder="normal",  # stacked bars would turn it round
        hoverlabel={"font": {"size": 13}},
        modebar={"remove": ["lasso2d", "select2d", "autoScale2d"]},
    )
    figure.update_xaxes(automargin=True, gridcolor="rgba(128,128,128,0.22)", zerolinecolor="rgba(128,128,128,0.4)")
    figure.update_yaxes(automargin=True, gridcolor="rgba(128,128,128,0.22)", zerolinecolor="rgba(128,128,128,0.4)")
    return figure


def _candidate_colors() -> np.ndarray:
    """Colours (num, 3) in 0..1 of an even sRGB grid that are readable on white and on black and not garish."""
    steps = np.linspace(0, 1, _GRID_STEPS)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(grid)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    return grid[(lightness >= _LIGHTNESS_RANGE[0]) & (lightness <= _LIGHTNESS_RANGE[1]) & (chroma <= _MAX_CHROMA)]


def _rgb(colors: list[str]) -> np.ndarray:
    """Hex texts -> (num, 3) in 0..1."""
    return np.array([[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in colors]) / 255


def _lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (num, 3) in 0..1 -> CIELAB (num, 3) under D65. Source: IEC 61966-2-1, CIE 15:2004."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
