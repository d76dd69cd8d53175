"""Subspace clustering as a run: its records and files, resuming to the same bits, dead encoders, and what it cannot do."""

import dataclasses
import hashlib
import json
import signal

import numpy as np
import pytest
import torch
from scipy import sparse

from vitviz.__main__ import main
from vitviz.clustering.affinity import AffinitySettings, make_affinity
from vitviz.clustering.metrics import scores
from vitviz.clustering.self_expression import express
from vitviz.clustering.spectral import cluster_affinity
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.nn.subspace import subspace_loss
from vitviz.runs import atomic
from vitviz.runs.folder import Run, find_run
from vitviz.training import subspace, subspace_solving
from vitviz.training.drive import drive, make_projection
from vitviz.training.feed import mix_seeds
from vitviz.training.methods import METHODS, config_of
from vitviz.training.planned_records import count_records
from vitviz.training.setup import load_images
from vitviz.training.subspace_model import embed_with, load_model, to_pixels
from vitviz.training.subspace_solving import fit_size, solver_settings

NEIGHBORS = {"solver": "neighbors", "attention": False}
VARIANTS = {
    "adam": {},
    "plain": {"attention": False, "loss": "literal", "select": "eigengap"},
    "sparse steps": {"num_steps": 5, "fixed_step": 4, "score_every": 3, "round_every": 3},
    "long pretraining": {"epochs": 12, "num_steps": 1},
    "ridge": {"solver": "ridge", "attention": False},
    "neighbors": NEIGHBORS,
    "gate before neighbors": {"solver": "neighbors"},
    "auto": {"solver": "auto", "attention": False},
    "three starts": {"num_starts": 3, "epochs": 2, "num_steps": 2, "fixed_step": 2},
}


@pytest.fixture(autouse=True)
def same_signals():
    """The command line answers SIGTERM in its own way; the tests' process must not keep that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def records_of(run: Run):
    return METHODS["subspace"].train(config_of(run), run)


def coefficients_of(run: Run) -> dict[str, str]:
    """The sums of all arrays of ``coefficients.npz``."""
    with np.load(run.path / "coefficients.npz") as arrays:
        return {name: hashlib.sha256(arrays[name].tobytes()).hexdigest() for name in arrays.files}


def kinds(run: Run) -> list[str]:
    return [record["kind"] for record in run.metrics()]


# Records


def test_epochs_then_steps_of_which_some_become_rounds(finished_subspace):
    records = finished_subspace.metrics()
    assert kinds(finished_subspace) == ["epoch"] * 3 + ["step", "step", "round", "step", "round", "step", "round"]
    assert [record["step"] for record in records if record["kind"] == "step"] == [1, 2, 3, 4]
    assert [(record["index"], record["step"]) for record in finished_subspace.round_metrics()] == [
        (0, 2),
        (1, 3),
        (2, 4),
    ]
    for record in records[3:]:
        assert {"loss", "reconstruction_loss", "coefficient_loss", "expression_loss", "eigengap"} <= record.keys()
        assert 0 <= record["acc"] <= 1 and 0 < record["in_block_mass"] <= 1 and 0 < record["class_mass"] <= 1
    assert finished_subspace.status().state == "finished"


def test_a_step_and_the_round_it_becomes_have_the_same_scores(finished_subspace):
    steps = {record["step"]: record for record in finished_subspace.metrics() if record["kind"] == "step"}
    for record in finished_subspace.round_metrics():
        same = (
            "nmi",
            "acc",
            "ari",
            "ami",
            "eigengap",
            "in_block_mass",
            "loss",
            "reconstruction_loss",
            "expression_loss",
        )
        assert all(record[key] == steps[record["step"]][key] for key in same)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_run_yields_as_many_records_as_counted(train, tiny, changes):
    run = train("counted", "subspace", **changes)
    assert len(run.metrics()) == count_records(tiny("subspace", **changes))
    assert len(run.coefficients().matrices) == run.num_rounds() == len(run.round_metrics())


@pytest.mark.parametrize("solver", ["ridge", "neighbors", "auto"])
def test_a_solver_of_the_pretrained_latent_has_one_round_and_no_step(train, solver):
    run = train("once", "subspace", solver=solver, attention=False)
    assert kinds(run) == ["epoch"] * 3 + ["round"]
    (record,) = run.round_metrics()
    assert record["step"] == 0 and record["solver"] == (
        solver if solver != "auto" else run.coefficients().made_by["solver"]
    )
    assert record["solver"] in ("ridge", "neighbors") and record["solver_reason"]


def test_a_gate_is_trained_before_a_solver_that_takes_the_latent_as_it_is(train):
    run = train("gated", "subspace", solver="neighbors")
    assert kinds(run) == ["epoch"] * 3 + ["step"] * 4 + ["round"]
    (record,) = run.round_metrics()
    assert record["step"] == 4 and len(record["gate_mean"]) == len(record["gate_spread"]) == 3
    assert sparse.issparse(run.coefficients().matrices[0]) and run.coefficients().gates.shape == (1, 200, 3)


def test_pretraining_lowers_the_error_and_the_joint_steps_the_expression(train):
    run = train("learns", "subspace", epochs=20, lr=1e-2, num_steps=12, attention=False, round_every=12)
    records = run.metrics()
    assert records[19]["loss"] < 0.5 * records[0]["loss"]
    assert records[31]["expression_loss"] < 0.9 * records[20]["expression_loss"]


# What a round holds


def test_scores_count_all_images_and_the_labels_of_the_round(finished_subspace):
    for record in finished_subspace.round_metrics():
        found = scores(finished_subspace.samples().classes, np.asarray(finished_subspace.round(record["index"]).labels))
        assert {key: record[key] for key in found} == found


def test_a_round_is_the_latent_its_clusters_and_their_means(finished_subspace):
    run = finished_subspace
    for index in range(run.num_rounds()):
        arrays, embeddings = run.round(index), embed_with(run, index, load_images(run))
        assert embeddings.shape == (200, 3 * 16 * 16)
        assert np.allclose(embeddings, arrays.embeddings, atol=5e-3)
        for label in np.unique(arrays.labels):
            assert np.allclose(arrays.centers[label], embeddings[arrays.labels == label].mean(axis=0), atol=5e-3)
        own = np.linalg.norm(embeddings - arrays.centers[arrays.labels], axis=1)
        assert np.allclose(own, arrays.distances, atol=0.05)
        assert arrays.decoder is None and (np.asarray(arrays.predictions) == -1).all()


def test_the_saved_network_is_that_of_the_last_round(finished_subspace):
    run = finished_subspace
    last, kept = load_model(run), load_model(run, run.num_rounds() - 1)
    assert not last.training and last.attn is not None
    for name, value in last.state_dict().items():
        assert torch.allclose(value, kept.state_dict()[name], atol=1e-3)


@pytest.mark.parametrize(("solver", "counts"), [("ridge", False), ("ridge", True), ("neighbors", False)])
def test_the_kept_coefficients_are_those_of_the_kept_latent_and_are_what_gave_its_labels(train, solver, counts):
    run = train("kept", "subspace", solver=solver, count_diagonal=counts, attention=False, epochs=10, lr=1e-2)
    config, kept = config_of(run), run.coefficients()
    latent = torch.from_numpy(embed_with(run, None, load_images(run)))
    exact = express(latent, solver, solver_settings(config))
    exact = exact.toarray() if sparse.issparse(exact) else exact.numpy()
    (matrix,) = kept.matrices
    dense = matrix.toarray() if sparse.issparse(matrix) else matrix
    assert dense.shape == (200, 200) and np.allclose(dense, exact, atol=1e-3)
    # from what was kept and not from what it was rounded from: nearly equal entries change places
    settings = AffinitySettings(dim=config.subspace_dim, count_diagonal=counts)
    affinity = make_affinity(matrix, "ji", 10, settings)
    again = cluster_affinity(affinity, 10, seed=config.seed, num_restarts=config.num_restarts)
    assert np.array_equal(again.labels, run.round(0).labels)
    assert np.allclose(again.eigenvalues, kept.eigenvalues[0]) and kept.made_by["affinity"] == "ji"
    assert kept.made_by["count_diagonal"] is counts


def test_the_coefficients_of_each_round_stand_beside_its_scores_and_its_gate(finished_subspace):
    kept, rounds = finished_subspace.coefficients(), finished_subspace.round_metrics()
    assert kept.steps.tolist() == [2, 3, 4] and kept.made_by["solver"] == "adam"
    assert kept.scores.tolist() == [[record["nmi"], record["acc"], record["ari"]] for record in rounds]
    assert kept.eigenvalues.tolist() == [record["eigenvalues"] for record in rounds]
    assert kept.embeddings.shape == (3, 200, 10) and kept.gates.shape == (3, 200, 3)
    assert np.allclose(kept.gates[2].astype(float).mean(axis=0), rounds[2]["gate_mean"], atol=1e-3)
    for index, matrix in enumerate(kept.matrices):
        assert matrix.dtype == np.float16 and np.abs(matrix).max() > 1e-4
        labels = np.asarray(finished_subspace.round(index).labels)
        assert sorted(kept.orders[index]) == list(range(200)) and (np.diff(labels[kept.orders[index]]) >= 0).all()


def test_a_step_is_one_of_adam_on_the_loss_of_the_paper(start):
    run = start("one", "subspace", epochs=1, num_steps=1, attention=False)
    *_, step, _ = records_of(run)
    pixels = to_pixels(load_images(run))
    bench_records = start("two", "subspace", epochs=1, num_steps=1, attention=False)
    records = records_of(bench_records)
    next(records)
    records.close()
    model = load_model_of_resume_point(bench_records)
    coefficients = torch.full((200, 200), 1e-8)
    loss = subspace_loss(pixels, model(pixels, coefficients), coefficients)
    assert step["loss"] == pytest.approx(loss.total.item(), rel=1e-4)
    assert step["expression_loss"] == pytest.approx(loss.expression.item(), rel=1e-4)
    kept = run.coefficients().matrices[0].astype(float)
    assert np.abs(kept).max() == pytest.approx(1e-3, rel=1e-2), "Adam's first step is the learning rate"


def load_model_of_resume_point(run: Run):
    tensors, _ = run.resume_point()
    model = subspace.build_model(config_of(run), img_size=32, in_chans=1, seed=0)
    model.load_state_dict(
        {k.removeprefix("model."): torch.tensor(v) for k, v in tensors.items() if k.startswith("model.")}
    )
    return model


# Which step counts


def test_the_command_line_tells_the_round_that_counts_and_lists_all(finished_subspace, monkeypatch, capsys):
    monkeypatch.setenv("VITVIZ_RUNS", str(finished_subspace.path.parent))
    assert main(["runs"]) == 0
    chosen = finished_subspace.round_metrics()[1]
    assert f"3 rounds  NMI {chosen['nmi']:.3f}, ACC {chosen['acc']:.3f}" in capsys.readouterr().out
    assert main(["runs", "tiny"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()[-4:]
    assert header.split()[:5] == ["index", "loss", "step", "nmi", "acc"] and [row.split()[2] for row in rows] == [
        "2",
        "3",
        "4",
    ]
    assert main(["runs", "tiny", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [len(told[part]) for part in ("epochs", "steps", "rounds")] == [3, 4, 3]


def test_the_fixed_step_counts_and_other_rules_are_only_marked(finished_subspace):
    rounds = finished_subspace.round_metrics()
    assert [record["selection"] for record in rounds[:-1]] == [None, None]
    selection = rounds[-1]["selection"]
    assert (selection["rule"], selection["round"], selection["step"]) == ("fixed", 1, 3)
    assert selection["acc"] == rounds[1]["acc"] == selection["marks"]["fixed"]["acc"]
    steps = [record for record in finished_subspace.metrics() if record["kind"] == "step"]
    assert selection["marks"]["oracle"]["acc"] == max(record["acc"] for record in steps)
    assert selection["marks"]["eigengap"]["eigengap"] == max(record["eigengap"] for record in steps[1:])


def test_the_eigengap_counts_when_asked_for(train):
    run = train("gap", "subspace", select="eigengap")
    rounds = run.round_metrics()
    chosen = rounds[-1]["selection"]
    assert chosen["rule"] == "eigengap" and chosen["eigengap"] == max(record["eigengap"] for record in rounds)


def test_labels_change_nothing_but_the_scores_and_the_names(finished_subspace, start, monkeypatch):
    digits = open_image_set("digits", limit=200)
    bare = dataclasses.replace(digits, labels=np.full(200, -1, np.int32), class_names=())
    monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: bare)
    run = start("bare", "subspace")
    drive(run)
    for index in range(3):
        assert np.array_equal(run.round(index).labels, finished_subspace.round(index).labels)
    last = run.round_metrics()[-1]
    assert last["acc"] is last["class_mass"] is None
    assert last["selection"]["round"] == 1 and set(last["selection"]["marks"]) == {"fixed", "eigengap"}
    assert np.isnan(run.coefficients().scores).all()


# Resuming


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_stopped_after_any_record_a_run_comes_to_the_same_bits(train_and_stop, content_of, changes):
    whole, stopped = train_and_stop("subspace", **changes)
    expected, coefficients = content_of(whole), coefficients_of(whole)
    expected = {key: value for key, value in expected.items() if "solve_seconds" not in key}
    for stop, run in enumerate(stopped, start=1):
        assert len(run.metrics()) == stop
        drive(run)
        found = content_of(Run(run.path))
        assert {key: value for key, value in found.items() if "solve_seconds" not in key} == expected
        assert coefficients_of(run) == coefficients, f"stopped after record {stop}"


class Killed(BaseException):
    """Stands for a kill: nothing in the house catches it on purpose."""


def test_killed_after_any_write_a_run_comes_to_the_same_bits(start, content_of, monkeypatch):
    changes = {"epochs": 1, "num_steps": 2, "round_every": 1}
    whole = start("whole", "subspace", **changes)
    drive(whole)
    write, expected, kills = atomic.write_file, (content_of(whole), coefficients_of(whole)), 0
    for point in range(1, 100):
        run, left = start(f"killed-{point}", "subspace", **changes), iter(range(point))

        def write_or_die(path, content, left=left):
            write(path, content)
            if next(left, None) is None:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(atomic, "write_file", write_or_die)
            try:
                list(records_of(run))
            except Killed:
                kills += 1
            else:
                break
        drive(Run(run.path))
        assert (content_of(Run(run.path)), coefficients_of(run)) == expected, f"killed after write {point}"
    assert kills > 2 * len(whole.metrics())


def test_a_finished_run_driven_again_stays_as_it_is(train, content_of):
    run = train("again", "subspace")
    before = content_of(run), coefficients_of(run)
    drive(find_run("again"))
    assert (content_of(run), coefficients_of(run)) == before


# Dead encoders and dead gates


def kill_first(monkeypatch, number: int) -> None:
    """The first ``number`` networks that are built have an encoder that never fires."""
    build, built = subspace.build_model, iter(range(number))

    def build_dead(*arguments, **settings):
        model = build(*arguments, **settings)
        if next(built, None) is not None:
            with torch.no_grad():
                model.encoder.bias.fill_(-100)
        return model

    monkeypatch.setattr(subspace, "build_model", build_dead)


def test_a_dead_encoder_is_started_again_from_another_seed(start, monkeypatch):
    kill_first(monkeypatch, 2)
    run = start("reborn", "subspace")
    drive(run)
    assert kinds(run).count("epoch") == 3 and {r["attempt"] for r in run.metrics() if r["kind"] == "epoch"} == {2}
    assert "the encoder died 2 times" in run.round_metrics()[0]["warnings"][0]


def test_of_several_starts_the_one_that_restores_best_is_gone_on_with(start):
    run = start("several", "subspace", num_starts=3, epochs=2, **NEIGHBORS)
    drive(run)
    records = [record for record in run.metrics() if record["kind"] == "epoch"]
    assert [record["attempt"] for record in records] == [0, 0, 1, 1, 2, 2]
    last = {record["attempt"]: record["loss"] for record in records}
    assert len(set(last.values())) == 3
    best = min(last, key=last.get)
    (found,) = run.round_metrics()
    assert found["attempt"] == best and found["loss"] == last[best] and found["warnings"] == []
    assert count_records(config_of(run)) == len(run.metrics())
    seeds = [0, mix_seeds(0, 0, 1), mix_seeds(0, 0, 2)]
    if best:
        alone = start("alone", "subspace", epochs=2, **NEIGHBORS, seed=seeds[best])
        drive(alone)
        assert np.array_equal(alone.round(0).embeddings, run.round(0).embeddings)


def test_a_dead_start_among_several_costs_a_seed_and_no_record_of_the_others(start, monkeypatch):
    build, built = subspace.build_model, []

    def second_is_dead(*arguments, **settings):
        model = build(*arguments, **settings)
        built.append(model)
        if len(built) == 2:
            with torch.no_grad():
                model.encoder.bias.fill_(-100)
        return model

    monkeypatch.setattr(subspace, "build_model", second_is_dead)
    run = start("one-died", "subspace", num_starts=2, epochs=2, **NEIGHBORS)
    drive(run)
    assert [record["attempt"] for record in run.metrics() if record["kind"] == "epoch"] == [0, 0, 2, 2]
    assert "the encoder died 1 times" in run.round_metrics()[0]["warnings"][0]


def test_resuming_goes_on_with_the_start_that_lived(start, monkeypatch, content_of):
    with monkeypatch.context() as patched:
        kill_first(patched, 1)
        whole = start("whole", "subspace", **NEIGHBORS)
        drive(whole)
    with monkeypatch.context() as patched:
        kill_first(patched, 1)
        records = records_of(start("stopped", "subspace", **NEIGHBORS))
        next(records)
        records.close()
    drive(find_run("stopped"))
    assert np.array_equal(find_run("stopped").round(0).labels, whole.round(0).labels)
    assert coefficients_of(find_run("stopped")) == coefficients_of(whole)


def test_an_encoder_that_always_dies_is_told(start, monkeypatch):
    kill_first(monkeypatch, 99)
    run = start("dead", "subspace")
    with pytest.raises(Problem, match=r"the encoder died in every attempt: after 4 starts .* use more channels"):
        drive(run)
    assert run.status().state == "failed" and run.num_rounds() == 0


def test_a_dead_gate_is_told(train):
    warned = train("dead-gate", "subspace", identity_gate=True, finetune_lr=0.0).round_metrics()
    assert all("the gate is dead: it varies over the images by" in record["warnings"][0] for record in warned)
    assert all(max(record["gate_spread"]) < 1e-3 for record in warned)


# Limits


def test_too_many_images_for_a_gate_are_refused_before_anything_is_trained(tiny):
    assert fit_size(tiny("subspace"), 2_000) == tiny("subspace")
    with pytest.raises(Problem, match=r"2,001 images are too many for attention=true: .* set attention=false"):
        fit_size(tiny("subspace"), 2_001)


@pytest.mark.parametrize("solver", ["neighbors", "auto", "adam", "ridge"])
def test_many_images_go_to_their_neighbors(tiny, train, monkeypatch, solver):
    fit_size(tiny("subspace", solver=solver, attention=False), 50_000)
    monkeypatch.setattr(subspace_solving, "MAX_DENSE_IMAGES", 100)
    (record,) = train("many", "subspace", solver=solver, attention=False).round_metrics()
    assert record["solver"] == "neighbors"
    assert solver == "neighbors" or "200 images are more than the 100" in record["solver_reason"]


def test_a_loss_that_is_not_finite_is_told(start):
    run = start("wild", "subspace", finetune_lr=1e30)
    with pytest.raises(
        Problem, match=r"training stopped at step \d: the loss is not finite; lower finetune_lr|the encoder died"
    ):
        drive(run)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"threshold": 0.0}, "threshold=0.0 must be more than 0"),
        ({"expression_weight": 0.0}, "expression_weight=0.0 must be more than 0"),
        ({"num_steps": 0}, "num_steps=0 must be at least 1"),
        ({"round_every": 0}, "round_every=0 must be at least 1"),
        ({"solver": "oracle"}, "solver=oracle is not a choice"),
        ({"select": "oracle"}, "select=oracle is not a choice: choose one of fixed, eigengap"),
    ],
)
def test_settings_outside_their_range_are_refused(tiny, changes, rule):
    with pytest.raises(Problem, match=rule):
        tiny("subspace", **changes)


# Images


def test_grey_images_have_one_channel_and_coloured_ones_three():
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), 3, axis=3)
    assert np.allclose(to_pixels(grey), torch.arange(64).reshape(1, 1, 8, 8) / 255)
    coloured = grey.copy()
    coloured[0, 0, 0] = (255, 0, 0)
    assert to_pixels(coloured).shape == (1, 3, 8, 8) and to_pixels(grey, in_chans=3).shape == (1, 3, 8, 8)
    assert to_pixels(coloured, in_chans=1)[0, 0, 0, 0].item() == pytest.approx(0.299)


def test_coloured_images_are_clustered_in_colour(start, monkeypatch):
    digits = open_image_set("digits", limit=200)
    images = digits.images.copy()
    images[..., 0] //= 2
    monkeypatch.setattr(
        "vitviz.training.setup.open_image_set", lambda *_, **__: dataclasses.replace(digits, images=images)
    )
    run = start("coloured", "subspace", **NEIGHBORS)
    drive(run)
    assert load_model(run).encoder.in_channels == 3


def test_maps_of_the_rounds_are_drawn_when_asked_for(train):
    run = train("mapped", "subspace", projection="pca")
    assert run.projection().points.shape == (3, 200, 2)
    assert make_projection(run, "pca", seed=0).engine == "pca"
