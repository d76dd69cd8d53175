"""What to train: method, preset, images, settings and name, as widgets; and the line of the command that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import streamlit as st

from vitviz.config import from_plain, parse_settings, to_plain
from vitviz.data.sets import SETS, find_images
from vitviz.errors import Problem
from vitviz.runs.folder import list_runs
from vitviz.runs.jobs import list_jobs
from vitviz.training.configs import CONFIGS, CONTROLS, summary_of
from vitviz.training.launch import train_arguments
from vitviz.training.preset import Preset
from vitviz.training.presets import PRESETS
from vitviz.training.queue import own_run
from vitviz.ui import train_words as words
from vitviz.ui.choices import begin_with, choose_from
from vitviz.ui.language import say, say_keys

_SHOWN = ("epochs", "max_rounds", "num_clusters", "cluster_weight", "batch_size", "lr", "limit", "seed")
"""Settings with a field of their own, where a method has them."""
NAME_IS_USED = "train_name_is_used"
"""Set when a run was started: its name is not that of the next."""


@dataclass(frozen=True)
class Choice:
    """What would be trained: the run's name, the words after ``python -m vitviz`` that train it, and its settings.

    ``control`` is the same for its control, or None.
    """

    name: str
    arguments: tuple[str, ...]
    config: Any
    control: tuple[str, tuple[str, ...]] | None


class _Base(NamedTuple):
    """What a run begins from: a method, one of its presets or none (""), of that a row or "", and the settings these give."""

    method: str
    preset: str
    row: str
    config: Any


def pick_choice() -> Choice:
    """The widgets, and what they come to. Raises Problem for what cannot be trained, in the words of the command line."""
    with st.container(horizontal=True):
        base = _pick_base()
        source = _pick_source(base.config)
    st.caption(_about(base))
    dataset = _read_source(source, base.config)
    num_classes = len(_look_into(dataset)[1]) if source == words.OWN_PATH else 0
    values = {"dataset": dataset, **_pick_settings(base, num_classes)}
    changes = _changes(base.config, values)
    config = from_plain(type(base.config), {**to_plain(base.config), **changes})
    seed = changes.pop("seed", config.seed) if base.row else config.seed
    assignments = _assignments(changes)
    given, ending = _pick_name(base, seed)
    look = {"preset": base.preset, "variant": base.row, "seed": seed}
    arguments = train_arguments(base.method, given, **look, changes=assignments)
    return Choice(f"{given}{ending}", arguments, config, _pick_control(base, given, config, assignments))


def _pick_base() -> _Base:
    method = st.selectbox(say("Method"), list(CONFIGS), key="method", bind="query-params", on_change=_follow_method)
    name = _pick_preset(method)
    if name == words.OWN:
        return _Base(method, "", "", CONFIGS[method]())
    preset = PRESETS[name]
    row = _pick_row(preset)
    return _Base(method, name, row, from_plain(CONFIGS[method], {**preset.settings, **preset.variants.get(row, {})}))


def _pick_preset(method: str) -> str:
    return choose_from("Preset", _presets(method), key="preset", help=words.PRESET, on_change=_follow_preset)


def _pick_row(preset: Preset) -> str:
    if not preset.variants:
        return ""
    return st.selectbox(say("Row"), list(preset.variants), key="row", bind="query-params", help=say(words.ROW))


def _about(base: _Base) -> str:
    """What is begun from: the preset's title and reason, or the method's sentence."""
    if not base.preset:
        return say(words.METHODS.get(base.method) or summary_of(base.method))
    preset = PRESETS[base.preset]
    return f"**{say(preset.title)}**: {say(preset.why)}"


def _pick_source(base: Any) -> str:
    options = [*sorted(_here(), key=lambda name: name != base.dataset), words.OWN_PATH]
    return choose_from("Images", options, key="source", help=words.DATASET)


def _read_source(source: str, base: Any) -> str:
    """The data set that was chosen, a name or the path that is typed here, and what is known of it."""
    if source != words.OWN_PATH:
        st.caption(say(SETS[source].description))
        if base.dataset in SETS and base.dataset not in _here():
            st.warning(say(words.not_here(SETS[base.dataset])), icon=":material/image_not_supported:")
        return source
    path = st.text_input(say(words.PATH), key="path", placeholder=say("/home/me/photos")).strip()
    if not path:
        raise Problem("there are no images yet", "", "type the path of a folder, .zip, .parquet or .mat file")
    with st.spinner(say("Looking into it …")):
        found = _look_into(path)
    st.caption(say(words.found(*found)))
    return path


def _here() -> list[str]:
    return [name for name, known in SETS.items() if known.available()]


@st.cache_data(ttl=20, max_entries=8, show_spinner=False)
def _look_into(path: str) -> tuple[int, tuple[str, ...]]:
    """How many images are listed there, and their classes; none is decoded."""
    listing = find_images(path).list_images()
    if not len(listing):
        raise Problem(f"{path} holds no images", "none of its files is an image by its name")
    return len(listing), tuple(listing.class_names)


def _pick_settings(base: _Base, num_classes: int) -> dict[str, Any]:
    """The settings that have a field, and those that were typed. Own images begin with as many clusters as they have classes."""
    plain, key = to_plain(base.config), f"{base.method}_{base.preset or words.OWN}_{base.row}"
    begun = {**plain, "num_clusters": num_classes} if num_classes > 1 else plain
    values = {}
    with st.container(horizontal=True):
        for name in _SHOWN:
            if name in plain:
                of_classes = f"_{num_classes}" if name == "num_clusters" and num_classes > 1 else ""
                values[name] = _field(name, begun[name], f"{key}_{name}{of_classes}")
    with st.expander(say("All settings"), icon=":material/tune:"):
        typed = st.text_area(
            say(words.MORE),
            key="set",
            bind="query-params",
            help=say(words.MORE_HELP),
            placeholder=say("weight-decay=0.1"),
        )
        more = parse_settings(type(base.config), [line for line in typed.splitlines() if line.strip()])
        rows = [say_keys(row) for row in words.changed({**plain, **values, **more})]
        st.dataframe(rows, hide_index=True, height=240)
    return {**values, **more}


def _field(name: str, value: Any, key: str) -> Any:
    """A number field; an empty one is a setting that may be left open."""
    title = name.replace("_", " ")
    if isinstance(value, float):
        step = value / 4 or 0.01
        return st.number_input(say(title), value=value, min_value=0.0, step=step, format="%g", key=key, width=140)
    least = 0 if name in ("seed", "max_rounds") else 1
    return st.number_input(say(title), value=value, min_value=least, step=1, key=key, placeholder=say("all"), width=140)


def _changes(base: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that are not what the preset or the method says anyway."""
    plain = to_plain(base)
    return {name: value for name, value in values.items() if _plain(value) != plain[name]}


def _pick_name(base: _Base, seed: int) -> tuple[str, str]:
    """The name that was typed, else the first of ``my-digits``, ``my-digits-2`` ... that is free; and what a row adds to it."""
    if st.session_state.pop(NAME_IS_USED, False):
        st.session_state["name"] = ""  # before its field is drawn: the browser would send it again
    taken = {run.name for run in list_runs()} | {run.name for run, _ in list_jobs()}
    ending = f"-{base.row}-s{seed}" if base.row else ""
    usual = f"my-{(base.preset or base.method).replace('_', '-')}"
    free = next(name for name in _numbered(usual) if f"{name}{ending}" not in taken)
    name = (
        st.text_input(say("Name of the run"), key="name", placeholder=say(free), help=say(words.NAME)).strip() or free
    )
    own_run(f"{name}{ending}")
    return name, ending


def _pick_control(
    base: _Base, name: str, config: Any, assignments: Sequence[str]
) -> tuple[str, tuple[str, ...]] | None:
    """The run to compare with, when there is one and it is wanted."""
    find = CONTROLS.get(base.method)
    changed = find(config) if find and config.max_rounds else None
    look = {"key": "control", "bind": "query-params", "help": say(words.CONTROL_HELP)}
    if not changed or not st.toggle(say(words.CONTROL), value=True, **look):
        return None
    kept = [one for one in assignments if one.partition("=")[0].replace("-", "_") not in changed]
    control = f"{name[:56]}-control"
    return control, train_arguments(base.method, control, preset=base.preset, changes=[*kept, *_assignments(changed)])


def _follow_method() -> None:
    """Another method has other presets, of which the first is chosen, and other settings."""
    st.session_state["set"] = ""
    begin_with("preset", _presets(st.session_state["method"])[0])
    _follow_preset()


def _follow_preset() -> None:
    """Another preset has other rows, and images of its own."""
    preset = PRESETS.get(st.session_state["preset"])
    base = from_plain(CONFIGS[st.session_state["method"]], dict(preset.settings) if preset else {})
    here = _here()
    begin_with("source", base.dataset if base.dataset in here else here[0])
    if preset and preset.variants:
        st.session_state["row"] = next(iter(preset.variants))


def _presets(method: str) -> list[str]:
    """The presets of a method, and last none of them."""
    return [*(name for name, preset in PRESETS.items() if preset.method == method), words.OWN]


def _numbered(name: str):
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _assignments(settings: Mapping[str, Any]) -> list[str]:
    return [f"{name.replace('_', '-')}={_text(value)}" for name, value in settings.items()]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
