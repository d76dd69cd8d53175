"""From a listing to pixels of one size: every image decoded once, bad ones counted, everything fingerprinted."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from vitviz.data.image_set import ImageFacts, ImageSet, LoadReport, join_facts
from vitviz.data.images import FORMAT_WORDS, DecodedImage, decode_image, fit_image, image_size
from vitviz.data.listing import Content, Listing, Source, choose_rows
from vitviz.errors import Problem

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

MAX_BAD = 0.01
"""The share of unreadable images above which a data set is not used."""

_DEFAULT_SIZE, _MIN_OWN_SIZE, _MAX_OWN_SIZE = 64, 8, 256
_NUM_SAMPLED = 16
_PROGRESS_EVERY = 256
_MAX_NOTES = 8
_MAX_LOOKED_FOR = 20
"""So many unreadable images are looked for, that all can be repaired at once, before a set with too many is given up."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Request:
    """How a source is wanted: the side of its images in pixels, at most how many, and whom to tell about progress."""

    img_size: int
    limit: int | None = None
    progress: Progress | None = None


def decode_in_memory(source: Source, request: Request) -> ImageSet:
    """Decode ``source`` into a read-only array. Raises Problem like ``decode_source``, or when memory does not suffice."""
    buffer = bytearray()
    try:
        facts = decode_source(source, request, buffer.extend)
    except MemoryError:
        why = f"its images at {request.img_size} x {request.img_size} do not fit into memory"
        raise Problem(f"{source.name} could not be opened", why, "choose a smaller img_size or a limit") from None
    except OSError as error:
        raise Problem(f"{source.name} could not be read", error.strerror or str(error)) from error
    images = np.frombuffer(buffer, np.uint8).reshape(-1, request.img_size, request.img_size, 3)
    images.flags.writeable = False
    return join_facts(source.name, images, facts)


def decode_source(source: Source, request: Request, write: Callable[[np.ndarray], object]) -> ImageFacts:
    """Decode the images of ``source``, handing each, (img_size, img_size, 3) uint8, to ``write`` in order.

    Images of other sizes are brought to it by ``fit_image`` (shorter side, centre crop). Unreadable ones are left out.

    Raises: Problem when there is no image, or when more than ``MAX_BAD`` of them cannot be read.
    """
    listing = source.list_images()
    if not len(listing):
        raise Problem(f"{source.name} holds no images", f"none of its files is a {FORMAT_WORDS} image by its name")
    rows = choose_rows(listing, request.limit)
    used, skipped, counts, digest = [], [], Counter(), hashlib.sha256(f"images {request.img_size}".encode())
    for row, image in _report_progress(_decode_rows(listing, rows, request.img_size), len(rows), request.progress):
        if isinstance(image, Problem):
            skipped.append((listing.names[row], image.why or image.what))
            if len(skipped) >= _MAX_LOOKED_FOR:
                _check_share(source.name, skipped, len(rows))
            continue
        pixels = np.ascontiguousarray(image.pixels)
        write(pixels)
        digest.update(pixels)
        used.append(row)
        counts.update(image.notes)
    _check_share(source.name, skipped, len(rows))
    notes = (*listing.notes, *_tell_drawn(listing, rows), *_tell_counts(counts), *_tell_labels(listing, used))
    report = LoadReport(len(listing), len(used), tuple(skipped), notes)
    return _join(listing, used, report, digest)


def own_size(listing: Listing) -> int:
    """The side in pixels that images of ``listing`` have by themselves, or 64 when they have no common one.

    Asked are up to 16 images spread evenly over the set (their headers only). A common square size of 8 to 256 pixels
    is kept.
    """
    rows = np.unique(np.linspace(0, len(listing) - 1, _NUM_SAMPLED).round().astype(int)) if len(listing) else []
    sizes = {_size(content) for content in listing.read(np.asarray(rows))} - {None}
    if len(sizes) == 1:
        width, height = sizes.pop()
        if width == height and _MIN_OWN_SIZE <= width <= _MAX_OWN_SIZE:
            return width
    return _DEFAULT_SIZE


def _size(content: Content) -> tuple[int, int] | None:
    if isinstance(content, np.ndarray):
        return content.shape[1], content.shape[0]
    return None if isinstance(content, Problem) else image_size(content)


def _decode_rows(listing: Listing, rows: np.ndarray, img_size: int) -> Iterator[tuple[int, DecodedImage | Problem]]:
    for row, content in zip(rows.tolist(), listing.read(rows), strict=True):
        try:
            yield row, _decode(content, listing.names[row], img_size)
        except Problem as problem:
            yield row, problem


def _report_progress(items: Iterator[Item], total: int, progress: Progress | None) -> Iterator[Item]:
    for done, item in enumerate(items, 1):
        yield item
        if progress and (done % _PROGRESS_EVERY == 0 or done == total):
            progress(done, total)


def _decode(content: Content, name: str, img_size: int) -> DecodedImage:
    if isinstance(content, Problem):
        raise content
    if isinstance(content, np.ndarray):
        decoded = DecodedImage(content)
    else:
        decoded = decode_image(content, name=name, min_side=2 * img_size)
    pixels = fit_image(decoded.pixels, img_size)
    resized = () if pixels is decoded.pixels else (_resized_note(img_size),)
    return DecodedImage(pixels, (*decoded.notes, *resized))


def _resized_note(img_size: int) -> str:
    return f"resized to {img_size} x {img_size} (shorter side, centre crop)"


def _check_share(name: str, skipped: list[tuple[str, str]], num_tried: int) -> None:
    if len(skipped) > MAX_BAD * num_tried:
        names = {reason: [] for _, reason in skipped}
        for image, reason in skipped:
            names[reason].append(image)
        first = "; ".join(f"{', '.join(images)}: {reason}" for reason, images in names.items())
        why = f"more than 1 % of its {num_tried:,} images cannot be read ({first})"
        raise Problem(f"{name} is not used", why, "repair or remove these files")


def _tell_drawn(listing: Listing, rows: np.ndarray) -> Iterator[str]:
    if len(rows) < len(listing):
        yield f"{len(rows):,} of {len(listing):,} images were drawn, each class in proportion (limit)"


def _tell_counts(counts: Counter[str]) -> Iterator[str]:
    for note, count in counts.most_common(_MAX_NOTES):
        yield f"{count:,} {'image' if count == 1 else 'images'}: {note}"


def _tell_labels(listing: Listing, used: list[int]) -> Iterator[str]:
    labels = listing.labels[used]
    unlabelled = int((labels < 0).sum())
    if unlabelled == len(labels):
        yield "no labels: scores against labels are not defined"
        return
    if unlabelled:
        yield f"{unlabelled:,} of the images have no label and are left out of scores against labels"
    sizes = np.bincount(labels[labels >= 0], minlength=len(listing.class_names))
    if (sizes > 0).sum() == 1:
        yield "only one class: scores against labels are not defined"
    empty = [listing.class_names[index] for index in np.flatnonzero(sizes == 0)]
    if len(empty) > _MAX_NOTES:
        yield f"{len(empty):,} classes are empty and keep their ids"
    else:
        yield from (f"class '{class_name}' is empty and keeps its id" for class_name in empty)


def _join(listing: Listing, used: list[int], report: LoadReport, digest: Any) -> ImageFacts:
    """The facts of the ``used`` rows; ``digest``, a sha256 of the pixels so far, becomes the fingerprint."""
    labels = listing.labels[used].astype(np.int32)
    held_out = None if listing.held_out is None else listing.held_out[used]
    digest.update(labels.astype("<i4"))
    digest.update(b"" if held_out is None else np.packbits(held_out))
    digest.update(json.dumps([len(used), *listing.class_names]).encode())
    return ImageFacts(labels, held_out, listing.class_names, digest.hexdigest()[:16], report)
