"""Pictures and buffers of runs over plain HTTP, kept by the browser; the websocket carries only small state.

``st.App("vitviz/ui/router.py", routes=routes())`` serves them; ``run_addresses(run)`` tells a component where they are.
An address never becomes a path: the run is looked up by name among those there are.
"""

import gzip
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vitviz.errors import Problem
from vitviz.explain.deep_clustering import find_other_seeds
from vitviz.explain.map_trust import trust_of_round
from vitviz.explain.round_map import pack_column, pack_round_map
from vitviz.explain.seed_stability import stability, version_with
from vitviz.logs import log_incident
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run, find_run, list_runs
from vitviz.ui.kept import Kept, find_kept, kept_prefix

TILE_SIDE = 32  # thumbnails along a side of a tile
THUMB_SIZE = 32  # pixels along a side of a thumbnail
TILE_IMAGES = TILE_SIDE**2

_BINARY = "application/octet-stream"
_FOREVER = "private, max-age=31536000, immutable"
_KEPT_BUFFERS = 8
_KEPT_TILES = 128
_KEPT_TRUST = 64
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class RunAddresses:
    """Where the browser finds a run's round map, what may colour it, and its thumbnails.

    ``{tile}`` and ``{round}`` stand for a number; trust and continuity are of one round each, since they take a while.
    """

    map: str
    margin: str
    tile: str
    trust: str | None
    continuity: str | None
    stability: str | None


def run_addresses(run: Run, others: Sequence[Run] = ()) -> RunAddresses:
    """The addresses of ``run`` as it is now; they change when rounds are added, so that caches may keep them for good.

    ``others``: runs of the same settings with other seeds; without any there is no stability. A run without embeddings has no
    trust and no continuity.
    """
    start, version = f"{_prefix()}/runs/{run.name}", run.version()
    is_whole = has_embeddings(run)
    return RunAddresses(
        map=f"{start}/map.bin?v={version}",
        margin=f"{start}/margin.bin?v={version}",
        tile=f"{start}/tile-{{tile}}.webp?v={version}",
        trust=f"{start}/trust-{{round}}.bin?v={version}" if is_whole else None,
        continuity=f"{start}/continuity-{{round}}.bin?v={version}" if is_whole else None,
        stability=f"{start}/stability.bin?v={version_with(run, others)}" if others else None,
    )


def routes(
    *, find: Callable[[str], Run] = find_run, open_images: Callable[[Run], np.ndarray] | None = None
) -> list[Route]:
    """The routes for ``st.App``. ``find`` and ``open_images`` (run -> (N, H, W, 3) uint8) serve the tests."""
    opened = _kept(2, lambda name, fingerprint: (open_images or _open_images)(find(name)))

    def open_once(run: Run) -> np.ndarray:
        return opened(run.name, run.description().dataset_fingerprint)

    # By name and version, not by run: every request finds its run anew.
    kept_map = _kept(_KEPT_BUFFERS, lambda name, version: _pack_map(find(name)))
    kept_margin = _kept(_KEPT_BUFFERS, lambda name, version: _pack_margin(find(name)))
    kept_tile = _kept(_KEPT_TILES, lambda name, version, tile: draw_tile(find(name), open_once, tile))

    kept_trust = _kept(_KEPT_TRUST, lambda name, version, index: _pack_trust(find(name), index))
    kept_stability = _kept(_KEPT_BUFFERS, lambda name, version: _pack_stability(find(name)))

    def serve_map(request: Request) -> Response:
        return _respond(request, find, kept_map)

    def serve_margin(request: Request) -> Response:
        return _respond(request, find, kept_margin)

    def serve_tile(request: Request) -> Response:
        return _respond(request, find, kept_tile, request.path_params["tile"], media_type="image/webp")

    def serve_trust(request: Request) -> Response:
        return _respond(request, find, lambda *which: kept_trust(*which)[0], request.path_params["round"])

    def serve_continuity(request: Request) -> Response:
        return _respond(request, find, lambda *which: kept_trust(*which)[1], request.path_params["round"])

    def serve_stability(request: Request) -> Response:
        return _respond(request, find, kept_stability, version_of=_version_with_seeds)

    start = f"{_prefix()}/runs/{{run}}"
    return [
        Route(f"{start}/map.bin", serve_map, methods=["GET"]),
        Route(f"{start}/margin.bin", serve_margin, methods=["GET"]),
        Route(f"{start}/trust-{{round:int}}.bin", serve_trust, methods=["GET"]),
        Route(f"{start}/continuity-{{round:int}}.bin", serve_continuity, methods=["GET"]),
        Route(f"{start}/stability.bin", serve_stability, methods=["GET"]),
        Route(f"{start}/tile-{{tile:int}}.webp", serve_tile, methods=["GET"]),
        Route(f"{kept_prefix()}/{{digest}}", _serve_kept, methods=["GET"]),
    ]


def map_points(run: Run) -> np.ndarray:
    """The projected points of the complete rounds (R, N, 2) float32. Raises Problem when the run has no map yet."""
    projection = run.projection()
    if projection is None or run.num_rounds() == 0:
        raise Problem(f"run '{run.name}' has no map yet", "", "it is made at the end of the run")
    return projection.points[: run.num_rounds()]


def map_clusters(run: Run, num_rounds: int) -> np.ndarray:
    """Matched cluster ids of the first rounds -> (num_rounds, N) int32."""
    return np.stack([np.asarray(run.round(index).matched_labels) for index in range(num_rounds)])


def margins(run: Run, num_rounds: int) -> np.ndarray:
    """How clearly each image belongs to its cluster -> (num_rounds, N) float32 in 0..1.

    (runner-up distance - own distance) / runner-up distance; 0 halfway between two centers, 1 on the own center.
    """
    rounds = [run.round(index) for index in range(num_rounds)]
    own = np.stack([np.asarray(one.distances, np.float32) for one in rounds])
    other = np.stack([np.asarray(one.runner_up_distances, np.float32) for one in rounds])
    return np.clip((other - own) / np.maximum(other, 1e-12), 0, 1)


def draw_tile(run: Run, open_images: Callable[[Run], np.ndarray], tile: int) -> bytes:
    """Thumbnails of the samples ``tile * 1024`` and on, row by row, as one WebP of 1,024 x 1,024 pixels.

    Raises Problem when there are no such samples or the data set is not on this machine.
    """
    indices = run.samples().indices[tile * TILE_IMAGES : (tile + 1) * TILE_IMAGES]
    if not len(indices):
        raise Problem(f"run '{run.name}' has no tile {tile}")
    images = open_images(run)[indices]
    sheet = Image.new("RGB", (TILE_SIDE * THUMB_SIZE,) * 2)
    for place, image in enumerate(images):
        thumb = Image.fromarray(np.asarray(image)).resize((THUMB_SIZE, THUMB_SIZE), Image.Resampling.BOX)
        sheet.paste(thumb, (place % TILE_SIDE * THUMB_SIZE, place // TILE_SIDE * THUMB_SIZE))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=88, method=2)
    return file.getvalue()


def _prefix() -> str:
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}/vitviz" if base else "/vitviz"


def _kept(size: int, make: Callable[..., Any]) -> Callable[..., Any]:
    """``make`` with its last ``size`` results kept, one call at a time: a class opening a page together packs once."""
    lock, remembered = threading.Lock(), lru_cache(size)(make)

    def get(*which: Any) -> Any:
        with lock:
            return remembered(*which)

    return get


def _pack_map(run: Run) -> bytes:
    points = map_points(run)
    samples = run.samples()
    clusters = map_clusters(run, len(points))
    return pack_round_map(points, clusters, samples.classes, samples.held_out, samples.indices)


def _pack_margin(run: Run) -> bytes:
    return pack_column(margins(run, len(map_points(run))))


def _pack_trust(run: Run, index: int) -> tuple[bytes, bytes]:
    found = trust_of_round(run, index)
    return pack_column(found.trust[None]), pack_column(found.continuity[None])


def _pack_stability(run: Run) -> bytes:
    others = find_other_seeds(run, list_runs())
    if not others:
        raise Problem(f"run '{run.name}' has no other seeds to be compared with")
    return pack_column(stability(run, others)[: len(map_points(run))])


def _version_with_seeds(run: Run) -> str:
    return version_with(run, find_other_seeds(run, list_runs()))


def _version_alone(run: Run) -> str:
    return run.version()


def _open_images(run: Run) -> np.ndarray:
    from vitviz.training.setup import load_shown_images

    return load_shown_images(run)


def _respond(
    request: Request,
    find: Callable[[str], Run],
    make: Callable[..., bytes],
    *which: int,
    media_type: str = _BINARY,
    version_of: Callable[[Run], str] = _version_alone,
) -> Response:
    """``make(name, version, *which)`` for the run named in the address; 404 when there is none, 304 when known, 500 with the
    number of an incident when anything breaks."""
    try:
        run = find(request.path_params["run"])
        version = version_of(run)
        tag = f'"{version}"'
        headers = {"ETag": tag, "Cache-Control": _FOREVER if request.query_params.get("v") == version else "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        content = make(run.name, version, *which)
    except Problem as problem:
        return Response(str(problem), status_code=404, media_type="text/plain", headers={"Cache-Control": "no-store"})
    except Exception as error:  # the log says what
        told = f"something broke (incident {log_incident(error)})"
        return Response(told, status_code=500, media_type="text/plain", headers={"Cache-Control": "no-store"})
    if media_type != _BINARY:
        return Response(content, media_type=media_type, headers=headers)
    return _inflatable(request, content, headers)


def _serve_kept(request: Request) -> Response:
    """What a page has kept under the digest of its content; 404 when it is no longer there."""
    digest = request.path_params["digest"]
    kept: Kept | None = find_kept(digest)
    if kept is None:
        return Response("not kept any more: reload the page", 404, {"Cache-Control": "no-store"}, "text/plain")
    headers = {"ETag": f'"{digest}"', "Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if kept.content.startswith(_GZIP_MAGIC):
        return _inflatable(request, kept.content, headers)
    return Response(kept.content, media_type=kept.media_type, headers=headers)


def _inflatable(request: Request, packed: bytes, headers: dict[str, str]) -> Response:
    """Gzipped content as it is for a client that inflates it, which all browsers do, and inflated for any other."""
    headers = headers | {"Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(gzip.decompress(packed), media_type=_BINARY, headers=headers)
    return Response(packed, media_type=_BINARY, headers=headers | {"Content-Encoding": "gzip"})
