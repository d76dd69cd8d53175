"""Runs in which all that a person could have written is hostile, on every page: nothing of it reaches markdown as it is."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from vitviz.runs.folder import Run, find_run, own_root, shipped_root

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
HOSTILE = "![x](//evil.example) www.evil.example"
TAKEN_LITERALLY = {"dataframe", "code", "json", "plotly_chart", "bidi_component", "text"}
"""Elements that show a text as it is; of all others every text may be markdown, but for the options of lists to choose from."""
LISTS = {"selectbox", "multiselect"}
VISITS = (
    ("home", {}),
    ("runs", {}),
    ("deep_clustering", {"view": "Map"}),
    ("deep_clustering", {"view": "Clusters"}),
    ("deep_clustering", {"view": "Movers"}),
    ("deep_clustering", {"view": "Your image"}),
    ("subspace", {"view": "Affinity", "pair": "3_7"}),
    ("subspace", {"view": "One image"}),
    ("subspace", {"view": "Steps"}),
    ("subspace", {"view": "Spectrum"}),
    ("supertokens", {"model": "Trained run"}),
    ("coat", {}),
    ("compare", {"table": "own", "runs": "digits"}),
)

pytestmark = pytest.mark.usefixtures("hostile_runs")


@pytest.fixture(scope="module")
def hostile_copies(tmp_path_factory) -> Path:
    """The folder of one run for each page, each in the place of the shipped one."""
    root = tmp_path_factory.mktemp("hostile")
    for name in ("digits", "digits-subspace-steps", "clothing-supertoken", "clothing-coat"):
        _spoil(Run(Path(shutil.copytree(shipped_root() / name, root / name))))
    return root


@pytest.fixture
def hostile_runs(hostile_copies, own_folders, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("VITVIZ_RUNS", str(hostile_copies))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


def _spoil(run: Run) -> None:
    """Every text of a run's files but the words that the code looks up."""
    record = json.loads((run.path / "run.json").read_text())
    texts = ("dataset", "dataset_title", "title", "command", "variant", "git_commit", "device", "created")
    spoiled = {**record, **dict.fromkeys(texts, HOSTILE), "notes": [HOSTILE], "preset": ""}
    spoiled["class_names"] = [f"{index} {HOSTILE}" for index in range(len(record["class_names"]))]
    (run.path / "run.json").write_text(json.dumps(spoiled))
    status = json.loads((run.path / "status.json").read_text())
    status |= {"state": "failed", "error": HOSTILE, "progress": {"done": 1, "total": 2, "note": HOSTILE}}
    (run.path / "status.json").write_text(json.dumps(status))
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        words = {"warnings": [HOSTILE], "solver": HOSTILE, "solver_reason": HOSTILE}
        line |= {name: word for name, word in words.items() if name in line or name == "warnings"}
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _spoil_made_by(run.path / "projection.npz", ("engine", "seed"))
    _spoil_made_by(run.path / "coefficients.npz", ("solver",))


def _spoil_made_by(path: Path, names: tuple[str, ...]) -> None:
    if path.exists():
        with np.load(path) as arrays:
            made_by = json.loads(str(arrays["made_by"])) | dict.fromkeys(names, HOSTILE)
            np.savez(path, **{**arrays, "made_by": json.dumps(made_by)})


def _open(page: str, query: dict[str, str]) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page(f"../../pages/{page}.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def _read_as_markdown(app: AppTest) -> list[str]:
    """What the browser is sent of every element that may read markdown."""
    elements, blocks = [], [app._tree]
    while blocks:
        block = blocks.pop()
        for child in block.children.values():
            (blocks if hasattr(child, "children") else elements).append(child)
            if hasattr(child, "children") and child.proto is not None:
                elements.append(child)
    return [f"{one.type}: {_without_options(one)}" for one in elements if one.type not in TAKEN_LITERALLY]


def _without_options(element):
    proto = copy.deepcopy(element.proto)
    if element.type in LISTS:
        proto.ClearField("options")
    return proto


@pytest.mark.parametrize(("page", "query"), VISITS)
def test_what_a_run_says_is_taken_literally_on_every_page(page, query):
    texts = _read_as_markdown(_open(page, query))
    assert [text for text in texts if "](" in text and "evil" in text] == []
    assert [text for text in texts if " www.evil" in text] == []
    if page not in ("home", "runs", "compare"):
        assert any("evil" in text for text in texts), "the page shows nothing of the run"


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", HOSTILE), ("num_images", HOSTILE), ("class_names", [1, 2]), ("title", {"a": 1}), ("settings", [])],
)
def test_a_run_whose_values_are_of_another_kind_is_one_sentence(name, value):
    path = own_root() / "digits" / "run.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(before), name: value}))
        (own_root() / "digits").touch()
        app = _open("runs", {})
        frame = app.dataframe[0].value
        (state,) = frame[frame["run"] == "digits"]["state"]
        assert (
            state
            == f"cannot be read: run.json: {name} must be "
            + {
                "seed": "a whole number",
                "num_images": "a whole number",
                "class_names": "a list of texts",
                "title": "text",
                "settings": "a table",
            }[name]
        )
        assert "digits" not in _open("deep_clustering", {}).sidebar.selectbox(key="run").options
    finally:
        path.write_text(before)
    assert find_run("digits").description().title == HOSTILE
