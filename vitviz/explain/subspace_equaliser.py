"""The channels of a subspace run, each made louder or muted: what becomes of C and of the clusters, beside two controls.

Z (N, D) holds one map a channel, behind the gate where there is one, so a channel is changed by a factor on its part of Z: the
stored Z is all that is needed, no image. Rows = images, Z = C Z.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.explain.subspace import Snapshot, layer_of, order_images, take_snapshot
from vitviz.explain.subspace_regroup import STAGES, regroup, regrouping_of
from vitviz.explain.subspace_weave import Woven, weave, weave_ids
from vitviz.runs.folder import Run
from vitviz.training.subspace_config import SubspaceConfig

LOUDEST = 2.0
"""The largest factor of a channel."""
NUM_RANDOM = 5
_LEAST_GATE = 1e-3  # a gate that is shut has left nothing of its channel to give back


@dataclass(frozen=True)
class Equalised:
    """What the features come to with some factors of their channels.

    gains (channels,): times the trained gate. energy (channels,): each channel's share of the sum of squares of Z, 0..1, 0 when
    all is 0. woven: the affinity as a picture, in the order of the clusters; ids (S,) of its cells. labels (N,), matched to the
    run's; unchanged: the share of images that keep the run's id. acc, nmi, ari: 0..1, None without labels, which nothing else
    looks at. in_block_mass: of ``|C| + |C^T|`` within the clusters. seconds: of all stages.
    """

    gains: np.ndarray
    energy: np.ndarray
    woven: Woven
    ids: np.ndarray
    labels: np.ndarray
    acc: float | None
    nmi: float | None
    ari: float | None
    in_block_mass: float
    unchanged: float
    seconds: float


def num_channels(run: Run) -> int:
    """How many channels the encoder of ``run`` has."""
    return from_plain(SubspaceConfig, run.description().settings).channels


def equalise(
    run: Run,
    round_index: int,
    gains: Sequence[float],
    *,
    gate: Sequence[float] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    side: int = 240,
) -> Equalised:
    """The round grouped again by the run's own solver and rule, each channel of Z times its factor.

    Args:
        gains: (channels,), 0..``LOUDEST``; 1 leaves a channel as it was trained, 0 mutes it.
        gate: (channels,) factors that stand in place of the trained gate, the same for every image.
        on_stage: told of each of ``regroup``'s stages before it begins.

    Raises: Problem when the factors do not fit the channels, are out of range, or mute all of them.
    """
    stored = take_snapshot(run, round_index)
    latent = scale_channels(run.round(round_index).embeddings, gains, old_gate=stored.gate, new_gate=gate)
    settings = replace(regrouping_of(run, stored), solver=stored.solver)
    found, told = regroup(run, round_index, settings, on_stage, latent=latent)
    order = order_images(found, "cluster")
    woven = weave(layer_of(found, "processed"), order, side=side)
    return Equalised(
        gains=np.asarray(gains, float),
        energy=channel_energy(latent, len(gains)),
        woven=woven,
        ids=weave_ids(found.labels[order], woven),
        labels=found.labels,
        seconds=sum(told["seconds"].values()),
        **{name: told[name] for name in ("acc", "nmi", "ari", "in_block_mass", "unchanged")},
    )


def random_gates(snapshot: Snapshot, channels: int, *, count: int = NUM_RANDOM, seed: int = 0) -> np.ndarray:
    """Gates (count, channels) drawn without a look at anything: even over 0..1, then brought to the mean of the trained gate over
    images and channels (1 where there is none). The same factors for every image.
    """
    mean = 1.0 if snapshot.gate is None else float(snapshot.gate.mean())
    drawn = np.random.default_rng(seed).random((count, channels))
    return drawn * mean / drawn.mean(axis=1, keepdims=True)


def equalise_controls(
    run: Run, round_index: int, on_progress: Callable[[int, int], bool] = lambda done, total: True
) -> tuple[Equalised, list[Equalised]]:
    """As trained, and with ``NUM_RANDOM`` random gates of the same mean. Raises InterruptedError when told to stop."""
    channels = num_channels(run)
    gates = random_gates(take_snapshot(run, round_index), channels)
    as_trained, total = np.ones(channels), len(STAGES) * (1 + len(gates))
    tell = _teller(on_progress, total)
    control = equalise(run, round_index, as_trained, on_stage=tell)
    return control, [equalise(run, round_index, as_trained, gate=gate, on_stage=tell) for gate in gates]


def equalise_told(
    run: Run, round_index: int, gains: Sequence[float], on_progress: Callable[[int, int], bool]
) -> Equalised:
    """:func:`equalise`, with its stages counted. Raises InterruptedError when told to stop."""
    return equalise(run, round_index, gains, on_stage=_teller(on_progress, len(STAGES)))


def scale_channels(
    latent: np.ndarray,
    gains: Sequence[float],
    *,
    old_gate: np.ndarray | None = None,
    new_gate: Sequence[float] | None = None,
) -> np.ndarray:
    """Z (N, D) float32 with each channel times its factor, a copy; with ``new_gate`` (channels,) also times that over
    ``old_gate`` (N, channels). Raises: Problem as :func:`equalise`.
    """
    factors = _checked(gains, latent.shape[1])
    maps = np.array(latent, np.float32).reshape(len(latent), len(factors), -1)
    if new_gate is not None:
        old = 1.0 if old_gate is None else np.maximum(old_gate, _LEAST_GATE)[:, :, None]
        maps = maps / old * np.asarray(new_gate, np.float32)[:, None]
    maps *= factors[:, None].astype(np.float32)
    if not maps.any():
        raise Problem("no channel says anything", "those that are not muted are 0 for every image", "turn one up")
    return maps.reshape(len(latent), -1).astype(np.float32)


def channel_energy(latent: np.ndarray, channels: int) -> np.ndarray:
    """Each channel's share (channels,) of the sum of squares of Z (N, D)."""
    squares = np.square(np.asarray(latent, np.float64)).reshape(len(latent), channels, -1).sum(axis=(0, 2))
    return squares / squares.sum() if squares.sum() > 0 else squares


def scaled_energy(energy: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The shares ``energy`` (channels,) once each channel is times its factor."""
    scaled = energy * np.square(gains)
    return scaled / scaled.sum() if scaled.sum() > 0 else scaled


def _checked(gains: Sequence[float], size: int) -> np.ndarray:
    factors = np.asarray(gains, float)
    if factors.ndim != 1 or not len(factors) or size % len(factors):
        raise Problem(f"{factors.size} factors do not fit a Z of {size} numbers an image")
    if not ((factors >= 0) & (factors <= LOUDEST)).all():
        raise Problem(f"the factors {factors.tolist()} must be 0 to {LOUDEST:g}")
    return factors


def _teller(on_progress: Callable[[int, int], bool], total: int) -> Callable[[str], None]:
    done = 0

    def tell(stage: str) -> None:
        nonlocal done
        if not on_progress(done, total):
            raise InterruptedError(f"stopped before {stage}")
        done += 1

    return tell
