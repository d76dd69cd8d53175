"""What opening a data set returns: its images in one array, and an honest account of how they came there."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LoadReport:
    """How many images were found and used, each skipped one as (name, reason), and sentences about everything else."""

    found: int
    used: int
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """One sentence, e.g. ``"118 of 120 images are used; 2 could not be read (first: cat/7.jpg, it is damaged)"``."""
        used = f"{self.used:,} of {self.found:,} images are used"
        if not self.skipped:
            return used
        name, reason = self.skipped[0]
        return f"{used}; {len(self.skipped):,} could not be read (first: {name}, {reason})"


@dataclass(frozen=True)
class ImageFacts:
    """All of an image set but its pixels; the fields are those of ``ImageSet``."""

    labels: np.ndarray
    held_out: np.ndarray | None
    class_names: tuple[str, ...]
    fingerprint: str
    report: LoadReport


@dataclass(frozen=True)
class ImageSet:
    """The images of a data set, all of one size, read-only; row i of every array is the same image.

    Fields:
        images: (N, img_size, img_size, 3) uint8 in 0..255, an array or a memory map.
        labels: (N,) int32, an index into ``class_names``, or -1 for an unlabelled image.
        held_out: (N,) bool, the set's own test part, or None when it has none.
        fingerprint: 16 hex digits of a sha256 over pixels, size, labels, test part and class names: equal on any
            machine for equal content, wherever the files lie.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray | None
    class_names: tuple[str, ...]
    fingerprint: str
    report: LoadReport

    def __len__(self) -> int:
        return len(self.images)


def join_facts(name: str, images: np.ndarray, facts: ImageFacts) -> ImageSet:
    """The image set called ``name`` of ``images`` (N, img_size, img_size, 3) uint8 and what is known about them."""
    return ImageSet(name, images, facts.labels, facts.held_out, facts.class_names, facts.fingerprint, facts.report)
