"""How many prototypes pictures need: every block of this one, and many pictures sorted by their number."""

import math
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from vitviz.data.photographs import list_photographs
from vitviz.errors import Problem
from vitviz.explain.coat_costs import fixed_groups
from vitviz.figures import coat as figures
from vitviz.figures import coat_maps
from vitviz.runs.folder import Run
from vitviz.ui import coat_words as words
from vitviz.ui import run_views
from vitviz.ui.choices import choose_from
from vitviz.ui.coat_sources import Shown, cached, computed
from vitviz.ui.components.image_grid import image_grid
from vitviz.ui.language import say
from vitviz.ui.photos import bundled_photo
from vitviz.ui.routes import run_addresses

NUM_IMAGES = 64
_THUMB = 72


@dataclass(frozen=True)
class BlockCounts:
    """Prototypes (h,) of one block's heads, of its queries or of the tokens before its MLP."""

    name: str
    num_tokens: int
    counts: np.ndarray


@dataclass(frozen=True)
class Gallery:
    """Pictures of one size: (B, H, W, 3) uint8, their names, and which rows of a run they are; None for bundled ones."""

    images: np.ndarray
    names: tuple[str, ...]
    rows: np.ndarray | None = None


@st.fragment
def show_counts(shown: Shown) -> None:
    """Counts of this picture, block by block, and pictures sorted by theirs."""
    blocks = block_counts(shown)
    if not blocks:
        st.info(say(words.NOTHING), icon=":material/hub:")
        return
    _say_whether_it_adapts(shown)
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader(say("This picture, block by block"))
        run_views.chart(coat_maps.block_counts(blocks), key="coat_blocks")
        st.caption(words.caption(shown, words.WHISKERS))
    with right:
        st.subheader(say("Among other pictures"))
        gallery = gallery_of(shown)
        found, own = _gallery_counts(shown, gallery)
        names = list(found.names)
        name = choose_from("Block", names, key="block", width=220)
        place = names.index(name)
        current = float(own.counts[0, place])
        counts, number = found.counts[:, place], int(found.num_tokens[place])
        run_views.chart(
            figures.counts_histogram(counts, block=name, num_tokens=number, current=current), key="coat_histogram"
        )
        st.caption(say(words.histogram_caption(current, counts, gallery.images.shape[1])))
    _show_gallery(shown, gallery, counts)


def block_counts(shown: Shown) -> list[BlockCounts]:
    """One entry for the queries, and one for the tokens before the MLP, of every block that clusters them."""
    found = []
    for block in shown.look.blocks:
        for groups, name in ((block.queries, block.name), (block.tokens, f"{block.name}, MLP")):
            if groups is not None:
                found.append(BlockCounts(name, math.prod(block.grid), groups.counts))
    return found


def gallery_of(shown: Shown) -> Gallery:
    """Held-out images of the run where they are on this machine, else the bundled photographs."""
    run = shown.network.run
    if run is not None:
        rows = np.flatnonzero(run.samples().held_out)[:NUM_IMAGES]
        images = held_out_images(run, rows)
        if images is not None:
            names = tuple(f"image {index}" for index in run.samples().indices[rows])
            return Gallery(images, names, rows)
    return _bundled_gallery(_size_of(shown))


def held_out_images(run: Run, rows: np.ndarray) -> np.ndarray | None:
    """The images (M, H, W, 3) uint8 of rows of a run; None when they are not on this machine."""
    try:
        return run_views.pictures(run, rows)
    except Problem:
        return None


def _say_whether_it_adapts(shown: Shown) -> None:
    clustering = shown.clustering
    has_queries = any(block.queries is not None for block in shown.look.blocks)
    grouping = clustering.grouping if has_queries else clustering.mlp_grouping
    if grouping.method == "e2lsh":
        st.markdown(say(words.ADAPTIVE))
        return
    most = fixed_groups(grouping, math.prod(shown.look.blocks[0].grid))
    st.info(say(words.FIXED.format(method=grouping.method, most=most)), icon=":material/lock:")


def _gallery_counts(shown: Shown, gallery: Gallery):
    """Counts of the gallery's pictures, and of this picture cut to the same square."""
    from vitviz.data.images import fit_image
    from vitviz.explain.coat_images import counts_of

    of = "queries" if any(block.queries is not None for block in shown.look.blocks) else "mlp"
    side = gallery.images.shape[1]
    feed = replace(shown.network.preprocessing, img_size=side)

    def count(images: np.ndarray):
        return counts_of(shown.network.model, images, shown.clustering, of=of, preprocessing=feed, batch_size=8)

    with st.spinner(say("Counting prototypes …")):
        own = computed("own counts", shown, lambda: count(fit_image(shown.photo.pixels, side)[None]), of, side)
        others = replace(shown, key=f"{shown.network.key}-{shown.clustering}")  # the same for every photo
        return computed("gallery", others, lambda: count(gallery.images), of, side, gallery.rows is None), own


def _show_gallery(shown: Shown, gallery: Gallery, counts: np.ndarray) -> None:
    """Thumbnails, fewest prototypes first."""
    order = np.argsort(counts, kind="stable")
    side = gallery.images.shape[1]
    if gallery.rows is not None:
        run, classes = shown.network.run, shown.network.run.samples().classes
        items = [
            {
                "id": int(gallery.rows[place]),
                "label": f"{counts[place]:,.0f}",
                "note": say(
                    f"{gallery.names[place]}, {_class_name(run, classes[gallery.rows[place]])}: {counts[place]:,.0f}"
                ),
            }
            for place in order
        ]
        st.caption(say(words.GALLERY_RUN.format(number=len(order), size=side)))
        address = run_addresses(run).tile
        image_grid(key="coat_gallery", tile_url=address, items=items, captions=True, label=say("Images by prototypes"))
        return
    st.caption(say(words.GALLERY_BUNDLED.format(size=side)))
    with st.container(horizontal=True):
        for place in order:
            picture = cached(
                "thumbnail", shown, lambda place=place: _thumbnail(gallery.images[place]), gallery.names[place]
            )
            st.image(
                picture, f"{counts[place]:,.0f}", width=_THUMB, alt=f"{say(gallery.names[place])}: {counts[place]:,.0f}"
            )


def _size_of(shown: Shown) -> int:
    """Pixels along a side of the squares: the run's own, else as large as the picture is fed."""
    run = shown.network.run
    return shown.network.preprocessing.img_size if run is None else run.description().img_size


def _class_name(run: Run, label: int) -> str:
    return run.description().class_names[label] if label >= 0 else "no class"


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    step = max(len(pixels) // (2 * _THUMB), 1)
    return pixels[::step, ::step]


@st.cache_resource(max_entries=4, show_spinner=False)
def _bundled_gallery(side: int) -> Gallery:
    from vitviz.data.images import fit_image

    photos = list_photographs()
    if not photos:
        raise Problem("there is no photograph on this machine to compare with")
    images = np.stack([fit_image(bundled_photo(one.name).pixels, side) for one in photos])
    return Gallery(images, tuple(one.title for one in photos))
