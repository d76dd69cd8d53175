"""Bytes that a page has made for the browser to fetch: kept under the hash of their content, within bounds, for all sessions.

``keep`` gives the address, ``vitviz.ui.routes`` serves it. What has not been asked for longest is dropped first, so a page
calls ``keep`` in every rerun, with bytes it has cached; keeping what is kept already costs one hash.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image

MEDIA_TYPES = ("application/octet-stream", "image/png", "image/jpeg", "image/webp")
MAX_BYTES = 64 * 2**20

_EXACT_SIDE = 256  # pictures up to this many pixels a side are sent without loss
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Kept:
    """Content and its media type."""

    content: bytes
    media_type: str


class Shelf:
    """Up to ``max_bytes`` of content by digest; the least recently used goes first. Safe to share between threads."""

    def __init__(self, max_bytes: int = MAX_BYTES):
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._items: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, content: bytes, media_type: str) -> str:
        """Keep ``content`` and return the digest to find it by. Raises ValueError when it alone is too large."""
        if media_type not in MEDIA_TYPES:
            raise ValueError(f"media_type={media_type!r} must be one of {', '.join(MEDIA_TYPES)}")
        if len(content) > self._max_bytes:
            raise ValueError(f"{len(content):,} bytes are more than the {self._max_bytes:,} that are kept")
        digest = hashlib.sha256(media_type.encode() + b"\0" + content).hexdigest()
        with self._lock:
            if digest not in self._items:
                self._items[digest] = Kept(content, media_type)
                self._num_bytes += len(content)
            self._items.move_to_end(digest)
            while self._num_bytes > self._max_bytes:
                _, dropped = self._items.popitem(last=False)
                self._num_bytes -= len(dropped.content)
        return digest

    def get(self, digest: str) -> Kept | None:
        """What lies under ``digest``, or None when it is not or no longer there."""
        with self._lock:
            if digest in self._items:
                self._items.move_to_end(digest)
            return self._items.get(digest)


_shelf = Shelf()


def keep(content: bytes, media_type: str) -> str:
    """Keep ``content`` and return its address; content that starts as gzip does is inflated by the browser.

    Raises ValueError for a media type that is not in ``MEDIA_TYPES`` and for more than ``MAX_BYTES``.
    """
    return f"{kept_prefix()}/{_shelf.put(content, media_type)}"


def keep_picture(pixels: np.ndarray, *, exact: bool = False) -> str:
    """Keep a picture (H, W, 3) uint8 and return its address: PNG when ``exact`` or small, else JPEG without chroma loss."""
    return keep(*encode_picture(pixels, exact=exact))


def encode_picture(pixels: np.ndarray, *, exact: bool = False) -> tuple[bytes, str]:
    """A picture (H, W, 3) uint8 as file content and media type, for ``keep``."""
    file = io.BytesIO()
    if exact or max(pixels.shape[:2]) <= _EXACT_SIDE:
        Image.fromarray(pixels).save(file, "PNG", compress_level=2)
        return file.getvalue(), "image/png"
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return file.getvalue(), "image/jpeg"


def find_kept(digest: str) -> Kept | None:
    """What ``keep`` has put under ``digest``, for the route; None when it is not there."""
    return _shelf.get(digest)


def kept_prefix() -> str:
    """Where the addresses of ``keep`` begin on this server."""
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}/vitviz/kept" if base else "/vitviz/kept"
