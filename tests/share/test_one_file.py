"""One run as one page: what is in it, what it refuses to fetch, how large it gets, and how a browser takes it from the disk."""

import base64
import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.runs.folder import create_run, find_run, list_runs
from vitviz.runs.records import Description, Projection, Round, Samples
from vitviz.share import round_maps
from vitviz.share.curves import charts_of
from vitviz.share.markup import data_block
from vitviz.share.one_file import MOST_BYTES, one_file, write_one_file

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "digits.html"
    write_one_file(find_run("digits"), out, list_runs())
    return out


@pytest.fixture
def made(tmp_path, monkeypatch):
    """``made(num_images, num_rounds)``: an own run of random places whose names try to be markup."""
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "runs"))

    def make(num_images: int, num_rounds: int):
        draw = np.random.default_rng(0)
        description = Description(
            method="deep_clustering", settings={"note": HOSTILE}, dataset="/home/me/secret/photos", title=HOSTILE,
            dataset_title=HOSTILE, dataset_fingerprint="feed" * 4, img_size=8, num_images=num_images,
            class_names=(HOSTILE, "b"), num_clusters=3, seed=0, command=f"train {HOSTILE}",
        )  # fmt: skip
        classes = draw.integers(0, 2, num_images).astype(np.int32)
        samples = Samples(np.arange(num_images, dtype=np.int32), classes, np.arange(num_images) % 2 == 0)
        run = create_run("made", description, samples)
        with run.owned():
            for index in range(num_rounds):
                run.save_round(index, _round(draw.integers(0, 3, num_images).astype(np.int32)))
                run.append_metrics({"kind": "round", "index": index, "held_out_nmi": 0.5})
            points = draw.normal(size=(num_rounds, num_images, 2)).astype(np.float32)
            run.save_projection(Projection(points=points, engine="pca", seed=0, settings={}))
            run.set_status("finished")
        return run

    return make


@pytest.mark.parametrize("method", ["deep_clustering", "spectral", "a fifth"])
def test_a_run_of_rounds_has_curves_whatever_its_method(made, method):
    run = made(6, 2)
    other = dataclasses.replace(run.description(), method=method)
    run = create_run("other", other, run.samples())
    for index in range(2):
        run.append_metrics({"kind": "round", "index": index, "held_out_nmi": 0.5, "held_out_acc": 0.5, "loss": 1.0})
    assert [chart.title for chart in charts_of(run, None)] == ["NMI", "ACC", "Loss"]


def _round(labels: np.ndarray) -> Round:
    none = np.zeros(len(labels), np.float32)
    return Round(
        embeddings=np.zeros((len(labels), 2), np.float16),
        labels=labels,
        matched_labels=labels,
        centers=np.zeros((3, 2), np.float32),
        distances=none,
        runner_up_distances=none,
        predictions=labels,
    )


def policy_of(page: str) -> str:
    return re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]


def test_the_page_lets_itself_fetch_nothing_and_run_only_its_own_script(digits):
    page = digits.read_text("utf-8")
    policy = policy_of(page)
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() in policy
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert not re.search(r' (?:style|on\w+)="', page)


def test_the_same_run_gives_the_same_page(digits):
    assert digits.read_text("utf-8") == one_file(find_run("digits"), find_run("digits-control"))


def test_the_page_holds_curves_beside_the_control_scores_settings_and_command(digits):
    page = digits.read_text("utf-8")
    for part in (
        "held-out images, α = 0",
        "0.903",
        "cluster_weight",
        "train deep_clustering --run digits",
        "대조 실행은",
    ):
        assert part in page
    assert page.count('<figure class="chart">') == 4


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("digits-subspace-steps", "The affinity |C|", 'id="map"'),
        ("table6-conv-s0", "Top-1 accuracy", 'id="map"'),
        ("clothing-coat", "Not in this file: the groups of queries", 'id="map"'),
    ],
)
def test_a_run_without_maps_shows_what_it_has_and_says_what_it_lacks(name, has, lacks):
    page = one_file(find_run(name), None)
    assert has in page and lacks not in page and "Not in this file" in page


def test_no_name_of_a_run_becomes_markup_and_no_folder_is_told(made):
    page = one_file(made(40, 2), None)
    assert "<img src=x" not in page and "secret" not in page
    assert "&lt;/script&gt;" in page and "photos" in page
    assert page.count("</script>") == len(re.findall("<script", page))


def test_data_for_the_script_reads_back_whatever_it_holds():
    text = data_block("a", {"name": HOSTILE + "\u2028"})
    assert json.loads(text.partition(">")[2].removesuffix("</script>"))["name"] == HOSTILE + "\u2028"


def test_pictures_stand_in_the_page_only_where_that_is_known_to_be_allowed(made):
    shown, why = round_maps.thumbnails(find_run("digits"), np.arange(1797), asked_for=False)
    assert shown is not None and "BSD" in why
    shown, why = round_maps.thumbnails(made(40, 2), np.arange(40), asked_for=False)
    assert shown is None and "--thumbnails" in why
    shown, why = round_maps.thumbnails(find_run("made"), np.arange(40), asked_for=True)
    assert shown is None and "not on the machine" in why


def test_a_map_too_large_is_a_sample_that_keeps_the_shares_and_says_so(made, monkeypatch):
    monkeypatch.setattr(round_maps, "MOST_PLACES", 200)
    run = made(400, 2)
    rows, classes = round_maps.shown_rows(run), run.samples().classes
    assert len(rows) == 100 and (np.diff(rows) > 0).all()
    assert np.bincount(classes[rows]) == pytest.approx(np.bincount(classes) / 4, abs=1)
    assert "100 of 400 images are drawn" in one_file(run, None)


def test_the_largest_map_of_places_that_do_not_shrink_fits_the_page(made):
    run = made(60_000, 2)
    packed = len(round_maps.packed_map(run, np.arange(60_000)))
    per_place = packed / (2 * 60_000)
    assert per_place * round_maps.MOST_PLACES + 2_000_000 < MOST_BYTES


def test_a_run_without_a_record_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "runs"))
    about = dataclasses.replace(find_run("digits").description(), title="")
    run = create_run("bare", about, find_run("digits").samples())
    with pytest.raises(Problem, match="no record yet"):
        write_one_file(run, tmp_path / "out.html")


@pytest.mark.browser
def test_a_browser_opens_it_from_the_disk_asks_nobody_and_scrubs_by_keys_in_both_languages(digits, new_page):
    page = new_page((1440, 900), reduced_motion="reduce")
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(digits.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    assert page.locator("#said").inner_text() == "Round 6 of 6"
    before = page.locator("#picture").evaluate("canvas => canvas.toDataURL()")
    page.locator("#picture").press("Home")
    assert page.locator("#said").inner_text() == "Round 0 of 6"
    page.wait_for_function("before => document.getElementById('picture').toDataURL() !== before", arg=before)
    page.locator("#round").press("ArrowRight")
    assert page.locator("#scores").inner_text().startswith("Held-out NMI 0.867")
    page.get_by_role("button", name="한국어").click()
    assert page.locator("#said").inner_text() == "라운드 1 / 6"
    assert page.get_by_role("heading", name="모든 라운드의 지도").is_visible()
    assert "라운드 1의 이미지" in page.locator("#picture").get_attribute("aria-label")
    page.get_by_role("button", name="클래스별").click()
    assert page.locator("#names button").count() == 10
    blocked = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'fetched', () => 'refused')")
    assert blocked == "refused" and any("Content Security Policy" in text for text in complaints)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert [text for text in complaints if "127.0.0.1:9" not in text] == []
