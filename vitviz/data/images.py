"""Bytes or a file to pixels, safely: a short list of formats, size limits before decoding, one sentence for every failure."""

import contextlib
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vitviz.errors import Problem

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
FORMAT_WORDS = "JPEG, PNG, WebP, BMP, TIFF or GIF"

_ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT = 0x0112, 322, 323
_MAX_COUNTED = 100  # pages of a TIFF: counting them all takes a time that grows with the square of their number
_BAND = 2**20  # pixels that are scaled at once
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodedImage:
    """Pixels (H, W, 3) uint8 in 0..255, and what was done to get them, e.g. ``("turned upright (EXIF)",)``."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def decode_image(
    source: bytes | Path,
    *,
    name: str = "",
    max_side: int | None = None,
    min_side: int | None = None,
    max_pixels: int = 50_000_000,
) -> DecodedImage:
    """The first frame of an image file as upright 8-bit RGB.

    Transparency is placed on white; grey 16-bit and floating-point images are scaled by their own range; of 16-bit colours the
    upper 8 bits are read.

    Args:
        source: the file's content, or where it lies.
        name: what errors call the image; the file's name when empty.
        max_side: the longer side is shrunk to this (Lanczos); smaller images are left as they are.
        min_side: a JPEG may be decoded at a half, quarter or eighth whose sides are both at least this: faster.
        max_pixels: larger images are refused from their header, before anything is decoded.

    Raises: Problem for anything that is not an image of at least 2 x 2 pixels in one of ``FORMATS``.
    """
    name = name or (source.name if isinstance(source, Path) else "the image")
    try:
        with _open(source) as image:
            _check_size(image, name, max_pixels)
            return _decode(image, name, max_side, min_side)
    except Problem:
        raise
    except Exception as error:  # damaged files make Pillow raise anything from SyntaxError to struct.error
        raise Problem(f"{name} could not be read", _reason(error)) from error


def image_size(source: bytes | Path) -> tuple[int, int] | None:
    """(width, height) from the header of an image file, or None when it has no readable one. Decodes nothing."""
    with contextlib.suppress(Exception), _open(source) as image:
        return image.size
    return None


def fit_image(pixels: np.ndarray, img_size: int, *, rule: Literal["crop", "pad", "stretch"] = "crop") -> np.ndarray:
    """Pixels (H, W, 3) uint8 as a square (img_size, img_size, 3) uint8, by antialiased bicubic resampling.

    ``crop`` brings the shorter side to ``img_size`` and keeps the centre, ``pad`` brings the longer side to it and fills
    up with white, ``stretch`` changes the proportions. An image that has the size already is returned unchanged.
    """
    if pixels.shape[:2] == (img_size, img_size):
        return pixels
    image, square = Image.fromarray(pixels), (img_size, img_size)
    if rule == "crop":
        image = ImageOps.fit(image, square, Image.Resampling.BICUBIC)
    elif rule == "pad":
        shrunk = image.resize(_size_within(image.size, img_size, enlarge=True), Image.Resampling.BICUBIC)
        image = ImageOps.pad(shrunk, square, Image.Resampling.BICUBIC, color="white")
    elif rule == "stretch":
        image = image.resize(square, Image.Resampling.BICUBIC)
    else:
        raise ValueError(f"rule={rule!r} must be 'crop', 'pad' or 'stretch'")
    return np.asarray(image)


def _open(source: bytes | Path) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    for width, height in (image.size, _tile_size(image)):
        _check_pixels(width, height, name, max_pixels)
    if min(image.size) < 2:
        size = f"{image.width} x {image.height} pixels"
        raise Problem(f"{name} is too small", size, "at least 2 x 2 are needed")


def _check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        size = f"{width:,} x {height:,} pixels are {width * height / 1e6:,.0f} megapixels"
        raise Problem(f"{name} is too large", size, f"at most {max_pixels / 1e6:,.0f} are read: shrink it first")


def _tile_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of a TIFF's tiles: a small image may claim tiles that take gigabytes to unpack."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(_TILE_WIDTH, 0)), int(tags.get(_TILE_HEIGHT, 0))


def _decode(image: Image.Image, name: str, max_side: int | None, min_side: int | None) -> DecodedImage:
    size = _size_within(image.size, max_side) if max_side else image.size
    notes = [*_frame_notes(image), *_depth_notes(image)]
    orientation = _orientation(image)  # for which a PNG is decoded
    if max_side or min_side:
        image.draft(None, size if max_side else (min_side, min_side))
    image.load()
    rgb, more = _to_rgb(image, name)
    if max_side and rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.LANCZOS)
    if orientation in _TURNS:
        rgb, more = rgb.transpose(_TURNS[orientation]), [*more, "turned upright (EXIF)"]
    return DecodedImage(np.asarray(rgb), (*notes, *more))


def _orientation(image: Image.Image) -> int:
    with contextlib.suppress(Exception):  # damaged EXIF says nothing about the pixels
        return image.getexif().get(_ORIENTATION, 1)
    return 1


def _frame_notes(image: Image.Image) -> list[str]:
    if image.format == "TIFF" and _has_many_pages(image):
        return [f"first of more than {_MAX_COUNTED} frames"]
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    return [f"first of {frames} frames"] if frames > 1 else []


def _has_many_pages(image: Image.Image) -> bool:
    try:
        for page in range(1, _MAX_COUNTED + 1):  # one by one, or Pillow takes the page that was asked for as the last
            image.seek(page)
    except EOFError:
        return False
    finally:
        image.seek(0)
    return True


def _depth_notes(image: Image.Image) -> list[str]:
    """Pillow has no mode for colours of 16 bits: what it is going to read of them stands in the raw mode of its tiles."""
    deep = image.mode.startswith(("RGB", "LA")) and any(";16" in str(tile.args) for tile in image.tile)
    return ["16-bit colours read to 8 bits"] if deep else []


def _to_rgb(image: Image.Image, name: str) -> tuple[Image.Image, list[str]]:
    """The image in mode RGB, and what that took."""
    if image.mode == "F" or image.mode.startswith("I"):
        kind = {"F": "floating point", "I": "32-bit"}.get(image.mode, "16-bit")
        return _scale_by_own_range(np.asarray(image), name), [f"{kind} scaled by its own range"]
    if image.has_transparency_data:
        return _place_on_white(image.convert("RGBA"))
    notes = ["CMYK converted"] if image.mode == "CMYK" else []
    return image.convert("RGB"), notes


def _scale_by_own_range(values: np.ndarray, name: str) -> Image.Image:
    """Grey values (H, W) of any range to 0..255, a few rows at a time: at 8 bytes a value a large image would not fit."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Problem(f"{name} could not be read", "some of its pixels are NaN or infinite")
    scaled, step = np.empty(values.shape, np.uint8), max(_BAND // values.shape[1], 1)
    for start in range(0, len(values), step):
        band = values[start : start + step].astype(np.float64)
        scaled[start : start + step] = np.rint((band - low) / max(high - low, np.finfo(float).tiny) * 255)
    return Image.fromarray(scaled).convert("RGB")


def _place_on_white(image: Image.Image) -> tuple[Image.Image, list[str]]:
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB"), []
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white, ["transparency placed on white"]


def _size_within(size: tuple[int, int], side: int, *, enlarge: bool = False) -> tuple[int, int]:
    """``size`` shrunk (or, on request, enlarged) in proportion until its longer side is ``side``; no side under 2."""
    longer = max(size)
    if longer <= side and not enlarge:
        return size
    return (max(round(size[0] * side / longer), 2), max(round(size[1] * side / longer), 2))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is not a {FORMAT_WORDS} image"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "this program may not read it"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "its header claims more pixels than are ever read"
    return "the file ends too early or is damaged"
