"""Any vision transformer of timm by name, with weights of one's own, published ones, or none. Nothing is fetched unasked."""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from vitviz.errors import Problem
from vitviz.ui import attention_words as words
from vitviz.ui.choices import choose_from, choose_name
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say

if TYPE_CHECKING:
    from vitviz.explain.opened_models import OpenedModel
    from vitviz.explain.weight_keys import KeyReport

NONE, FILE, HUB = "none: random weights", "a file of mine", "by name on the hub"
PUBLISHED = "published: "
DEFAULT = "vit_tiny_patch16_224"
OWN_SIZE = "its own"
SIZES = (OWN_SIZE, "96", "112", "128", "160", "192", "224", "256", "288", "320", "384", "392", "448", "512", "518")
FILE_TYPES = ["safetensors", "pt", "pth", "bin"]

_MAX_WEIGHTS_MB = 400
_MAX_ROWS = 2_000


def pick_timm(prefix: str) -> tuple[str, "OpenedModel", Callable[[], "OpenedModel"] | None]:
    """A model, the key of all it depends on, and the way to the same without weights (None where its name alone is no model).

    ``prefix`` goes before the names in the address. Raises: Problem for what cannot be opened, or has to be fetched first.
    """
    with st.spinner(say("Looking up timm's models …")):
        names = _names()
    name = choose_name("timm ViT", names, key=f"{prefix}timm", index=names.index(DEFAULT), help=words.TIMM)
    kinds = (NONE, FILE, *(f"{PUBLISHED}{tag}" for tag in _tags(name)), HUB)
    kind = choose_from("Its weights", kinds, key=f"{prefix}weights", help=words.WEIGHTS)
    size = choose_from("Picture side, px", SIZES, key=f"{prefix}side", help=words.SIDE)
    img_size = None if size == OWN_SIZE else int(size)
    if kind == FILE:
        key, opened = _of_file(prefix, name, img_size)
    elif kind == HUB:
        key, opened = _of_hub(prefix, img_size)
    else:
        full = f"{name}.{kind.removeprefix(PUBLISHED)}" if kind.startswith(PUBLISHED) else name
        key, opened = _of_name(prefix, full, img_size, pretrained=full != name)
    if opened.keys is not None:
        show_keys(opened.keys)
    return key, opened, None if kind == HUB else lambda: _load(name, img_size=img_size)


def show_keys(keys: "KeyReport") -> None:
    """How a file met the model: one sentence, and every name below it."""
    st.caption(words.keys_sentence(keys))
    rows = keys.rows()
    with st.expander(say(f"Names of {len(rows):,} tensors")):
        st.dataframe(
            {say("tensor"): [name for name, _ in rows[:_MAX_ROWS]], "": [say(what) for _, what in rows[:_MAX_ROWS]]},
            hide_index=True,
            height=240,
        )


def _of_file(prefix: str, name: str, img_size: int | None) -> tuple[str, "OpenedModel"]:
    file = st.file_uploader(
        say("File with weights"),
        type=FILE_TYPES,
        key=f"{prefix}file",
        max_upload_size=_MAX_WEIGHTS_MB,
        help=say(words.FILE),
    )
    if file is None:
        st.caption(say(words.NO_FILE))
        return _of_name(prefix, name, img_size, pretrained=False)
    content = file.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:16]
    part = st.session_state.get(f"{prefix}part_of_{digest}") or ""
    with st.spinner(say(f"Reading {safe_label(file.name)} …")):
        opened = _load(name, digest=digest, part=part, img_size=img_size, _content=content, _name=file.name)
    _pick_part(f"{prefix}part_of_{digest}", opened.keys)
    return f"timm-{name}-{digest}-{part}-{img_size}", opened


def _pick_part(key: str, keys: "KeyReport | None") -> None:
    """Another part of the file, where several could be the model; it counts in the next rerun."""
    parts: Sequence[str] = [part.name.rstrip(".") for part in keys.parts] if keys else ()
    if len(parts) > 1:
        st.selectbox(
            say("Part of the file"),
            parts,
            key=key,
            help=say(words.PART),
            format_func=lambda part: part or say("all of it"),
        )


def _of_hub(prefix: str, img_size: int | None) -> tuple[str, "OpenedModel"]:
    name = st.text_input(
        say("Name on the hub"),
        placeholder=say("hf-hub:owner/name"),
        key=f"{prefix}hub",
        bind="query-params",
        help=say(words.HUB),
        max_chars=200,
    ).strip()
    if not name:
        raise Problem("no model is named yet", "", "write hf-hub:owner/name in the sidebar")
    full = name if name.startswith("hf-hub:") else f"hf-hub:{name}"
    return _of_name(prefix, full, img_size, pretrained=True)


def _of_name(prefix: str, name: str, img_size: int | None, *, pretrained: bool) -> tuple[str, "OpenedModel"]:
    """By name alone. What is not on this machine is fetched when its button is pressed, never because of a link."""
    key = f"timm-{name}-{pretrained}-{img_size}"
    try:
        with st.spinner(say(f"Building {safe_label(name)} …")):
            return key, _load(name, pretrained=pretrained, img_size=img_size)
    except Problem:
        if not pretrained:
            raise
        missing = f"download_{prefix}{name}"
        if not st.button(
            say("Download its weights"), key=missing, icon=":material/download:", help=say(words.DOWNLOAD)
        ):
            raise
    with st.spinner(say(f"Fetching {safe_label(name)} …")):
        return key, _load(name, pretrained=True, download=True, img_size=img_size)


@st.cache_resource(max_entries=4, show_spinner=False)
def _load(
    name: str,
    *,
    pretrained: bool = False,
    download: bool = False,
    digest: str = "",
    part: str = "",
    img_size: int | None = None,
    _content: bytes | None = None,
    _name: str = "",
) -> "OpenedModel":
    from vitviz.explain.timm_models import load_model_by_name

    if _content is None:
        return load_model_by_name(name, img_size=img_size, pretrained=pretrained, download=download)
    return load_model_by_name(name, img_size=img_size, weights=_content, file_name=_name, part=part)


@st.cache_resource(show_spinner=False)
def _names() -> list[str]:
    from vitviz.explain.timm_models import list_models

    return list_models()


@st.cache_resource(max_entries=64, show_spinner=False)
def _tags(name: str) -> tuple[str, ...]:
    from vitviz.explain.timm_models import list_pretrained

    return list_pretrained(name)
