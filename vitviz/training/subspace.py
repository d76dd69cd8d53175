"""Training deep subspace clustering with channel attention: pretrain, fine-tune together with C, cluster.

Source: "Deep subspace clustering with attention mechanism", on DSC-Net (Ji et al., NIPS 2017). Rows = images, Z = C Z.

==============================  ==================================================  =====================================
piece                           what                                                where
==============================  ==================================================  =====================================
equation 1                      the channel gate                                    ``nn.subspace.ChannelAttention``
autoencoder, loss               one convolution and back; the three parts           ``nn/subspace.py``
pretraining, fine-tuning        epochs on reconstruction; all images in every step  here
C with a given Z                ``ridge`` and ``neighbors``                         ``training/subspace_solving.py``
A = |C| + |C^T|, DSC-Net's      C to an affinity                                    ``clustering/affinity.py``
spectral clustering             an affinity to labels                               ``clustering/spectral.py``
rounds, ``coefficients.npz``    what is scored and kept                             ``training/subspace_rounds.py``
which step counts               fixed, eigengap; ``oracle`` only under that name    ``training/subspace_selection.py``
Table 2                         its seven rows                                      preset ``table2``
==============================  ==================================================  =====================================
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.clustering.kmeans import check_counts
from vitviz.data.device import pick_device
from vitviz.errors import Problem
from vitviz.nn.subspace import SubspaceAutoencoder, is_dead_encoder, subspace_loss
from vitviz.runs.folder import Run
from vitviz.training.feed import EpochPlan, mix_seeds
from vitviz.training.loop import train_epoch
from vitviz.training.memory import is_out_of_memory, memory_problem
from vitviz.training.setup import load_images
from vitviz.training.state import load_state_tensors, make_optimizer, state_tensors
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.subspace_model import add_gate, build_model, encode_all, to_pixels
from vitviz.training.subspace_rounds import Expressed, cluster_coefficients, save_subspace_round, score
from vitviz.training.subspace_selection import choose_round, mark_steps
from vitviz.training.subspace_solving import fit_size, solve_latent

Record = dict[str, Any]
MAX_RESTARTS = 3
_EPOCHS_PER_RESUME_POINT = 10
_BEST = "best."


def train_subspace(config: SubspaceConfig, run: Run) -> Iterator[Record]:
    """Pretrain (kind ``epoch``), fine-tune (kind ``step``) where the settings ask for it, and cluster (kind ``round``).

    With ``adam`` the chosen steps become rounds; with a closed or sparse C there is one round, of the final Z. The last round's
    ``selection`` says which round counts and what each rule would have picked. Goes on after the last resume point of ``run``.
    Of too many images for a dense C each is made of its neighbors alone, whatever the solver, and the round says so.

    Raises: Problem when there are too many images to train a gate, every restart came to a dead encoder, or the loss stops being
    finite.
    """
    config = fit_size(config, run.description().num_images)
    check_counts(run.description().num_images, config.num_clusters)
    bench = _Bench(config, run, load_images(run))
    bench.resume()
    yield from bench.pretrain()
    if config.is_joint:
        yield from bench.finetune()
    elif not run.num_rounds():
        yield bench.solve(step=0)
    run.save_weights(bench.parameters())


class _Joint(nn.Module):
    """The autoencoder and the C (N, N) it is fine-tuned together with."""

    def __init__(self, autoencoder: SubspaceAutoencoder, num_images: int, start: float):
        super().__init__()
        self.autoencoder = autoencoder
        self.coefficients = nn.Parameter(torch.full((num_images, num_images), start))


@dataclass(frozen=True)
class _Start:
    """One pretrained autoencoder: which attempt it was, the reconstruction loss of its last epoch, its tensors."""

    attempt: int
    loss: float
    tensors: dict[str, np.ndarray]


class _Bench:
    """The network, its optimiser and the images of one run, between two records."""

    def __init__(self, config: SubspaceConfig, run: Run, images: np.ndarray):
        self.config, self.run, self.images = config, run, images
        self.device = pick_device(config.device)
        self.pixels = to_pixels(images).to(self.device)
        self.num_started, self.num_died = 0, 0
        self.best: _Start | None = None
        self._begin(0)

    # Where it stands

    def resume(self) -> None:
        """Put everything back to the last resume point: ``epoch`` and ``step`` are how many of each are done, ``num_started`` how
        many starts before this one.
        """
        point = self.run.resume_point()
        if point is None:
            self.run.rewind(num_records=0, num_rounds=0)
            return
        tensors, place = point
        self._begin(place["attempt"])
        self.epoch = place["epoch"]
        if place["step"]:
            self._join()
            self.step = place["step"]
        load_state_tensors(tensors, self.model, self.optimizer)
        self.num_started, self.num_died = place.get("num_started", 0), place.get("num_died", 0)
        if place.get("best"):
            kept = {name.removeprefix(_BEST): value for name, value in tensors.items() if name.startswith(_BEST)}
            self.best = _Start(*place["best"], kept)
        self.run.rewind(num_records=place["num_records"], num_rounds=place["num_rounds"])

    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters of the autoencoder and its gate, without C."""
        return {name.removeprefix("model."): value for name, value in state_tensors(self._autoencoder).items()}

    @property
    def _autoencoder(self) -> SubspaceAutoencoder:
        return self.model.autoencoder if isinstance(self.model, _Joint) else self.model

    def _begin(self, attempt: int) -> None:
        """A fresh autoencoder: the run's own seed at first, then seeds derived from it."""
        config = self.config
        self.attempt, self.epoch, self.step = attempt, 0, 0
        self.seed = mix_seeds(config.seed, 0, attempt) if attempt else config.seed
        size, in_chans = self.images.shape[1], self.pixels.shape[1]
        self.model: nn.Module = build_model(config, img_size=size, in_chans=in_chans, seed=self.seed).to(self.device)
        self.optimizer = make_optimizer(self.model, lr=config.lr, weight_decay=0.0)

    def _join(self) -> None:
        """From the pretrained autoencoder to the fine-tuning: the gate, C, and a fresh optimiser over all of it."""
        config = self.config
        autoencoder = add_gate(config, self.model) if config.attention else self.model
        self.model = _Joint(autoencoder, len(self.images), config.coefficient_start).to(self.device)
        self.optimizer = make_optimizer(self.model, lr=config.finetune_lr, weight_decay=0.0)

    def _save_resume_point(self) -> None:
        tensors, best = state_tensors(self.model, self.optimizer), self.best
        if best is not None:
            tensors |= {f"{_BEST}{name}": value for name, value in best.tensors.items()}
        place = {
            "attempt": self.attempt,
            "epoch": self.epoch,
            "step": self.step,
            "num_rounds": self.run.num_rounds(),
            "num_started": self.num_started,
            "num_died": self.num_died,
            "best": None if best is None else (best.attempt, best.loss),
        }
        self.run.save_resume_point(tensors, place)

    # Pretraining

    def pretrain(self) -> Iterator[Record]:
        """The starts that are missing, each from a seed of its own; goes on with the one that restores the images best."""
        while self.num_started < self.config.num_starts and not self.step:
            yield from self._train_start()
            loss = self.run.metrics()[-1]["loss"]
            if self.best is None or loss < self.best.loss:
                self.best = _Start(self.attempt, loss, state_tensors(self.model))
            self.num_started += 1
            if self.num_started < self.config.num_starts:
                self._begin(self.attempt + 1)
            else:
                self._take_best()
            self._save_resume_point()

    def _take_best(self) -> None:
        if self.best.attempt != self.attempt:
            self._begin(self.best.attempt)
            load_state_tensors(self.best.tensors, self.model)
            self.epoch = self.config.epochs
        self.best = None

    def _train_start(self) -> Iterator[Record]:
        """The epochs that are missing of one start; from the first again, with another seed, when the encoder dies."""
        while self.epoch < self.config.epochs:
            record = self._train_epoch()
            if self._is_dead(record):
                self._restart()
                continue
            self.run.append_metrics(record)
            if self.epoch % _EPOCHS_PER_RESUME_POINT == 0 or self.epoch == self.config.epochs:
                self._save_resume_point()
            yield record

    def _train_epoch(self) -> Record:
        config, epoch = self.config, self.epoch
        plan = EpochPlan(
            rows=np.arange(len(self.images)),
            batch_size=config.batch_size,
            lr=lambda share: config.lr,
            seed=self.seed,
            epoch=epoch,
            clip_norm=math.inf,
        )
        parts = train_epoch(self.model, self.optimizer, self.images, self._reconstruction_loss, plan)
        self.epoch = epoch + 1
        return {"kind": "epoch", "index": epoch, "epoch": epoch, "attempt": self.attempt, "lr": config.lr, **parts}

    def _reconstruction_loss(self, model: SubspaceAutoencoder, _: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
        """``1/2 |X - Xhat|^2`` of an image, and the share of Z that is not 0."""
        pixels = self.pixels[torch.from_numpy(rows).to(self.device)]
        output = model(pixels)
        loss = 0.5 * (pixels - output.restored).square().sum() / len(pixels)
        return {"loss": loss, "reconstruction_loss": loss, "active_share": (output.latent > 0).float().mean()}

    def _is_dead(self, record: Record) -> bool:
        if record["active_share"] == 0:
            return True
        # costs another pass, so only of the Z that will be clustered
        return self.epoch == self.config.epochs and is_dead_encoder(encode_all(self._autoencoder, self.pixels)[0])

    def _restart(self) -> None:
        if self.num_died >= MAX_RESTARTS:
            raise Problem(
                "the encoder died in every attempt",
                f"after {self.num_died + 1} starts Z is the same for all images",
                "use more channels, a lower learning rate, or another seed",
            )
        of_others = sum(record["attempt"] != self.attempt for record in self.run.metrics())
        self.run.rewind(num_records=of_others, num_rounds=0)
        self.num_died += 1
        self._begin(self.attempt + 1)
        self._save_resume_point()

    # Fine-tuning

    def finetune(self) -> Iterator[Record]:
        """The steps that are missing, and the rounds that some of them become."""
        config = self.config
        if not self.step:
            self._join()
        for step in range(self.step + 1, config.num_steps + 1):
            record = self._step_within_memory(step)
            found = self._expressed() if config.solver == "adam" and config.is_scored(step) else None
            if found is not None:
                record |= score(found, self.run.samples().classes)
            self.run.append_metrics(record)
            yield record
            if step not in config.round_steps():
                continue
            if found is not None:
                yield self._finish_round(found, step)
            elif step == config.num_steps:
                yield self.solve(step)
            else:
                self._save_resume_point()

    def _step_within_memory(self, step: int) -> Record:
        try:
            return self._train_step(step)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            hint = (
                f"C holds {len(self.images):,} x {len(self.images):,} numbers: set a smaller limit, or solver=neighbors"
            )
            raise memory_problem(f"training stopped at step {step}", error, self.device, hint) from error

    def _train_step(self, step: int) -> Record:
        """One update of everything from all images; the losses are those before it."""
        config, began = self.config, time.perf_counter()
        output = self._autoencoder(self.pixels, self.model.coefficients, keep=("expressed",))
        loss = subspace_loss(
            self.pixels,
            output,
            self.model.coefficients,
            coefficient_weight=config.coefficient_weight,
            expression_weight=config.expression_weight,
            form=config.loss,
        )
        if not torch.isfinite(loss.total):
            raise Problem(f"training stopped at step {step}", "the loss is not finite", "lower finetune_lr")
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        self.optimizer.step()
        self.step = step
        return {
            "kind": "step",
            "index": step,
            "step": step,
            "loss": loss.total.item(),
            "reconstruction_loss": loss.reconstruction.item(),
            "coefficient_loss": loss.regularization.item(),
            "expression_loss": loss.expression.item(),
            "seconds": time.perf_counter() - began,
        }

    def _expressed(self) -> Expressed:
        latent, gate = encode_all(self._autoencoder, self.pixels)
        if is_dead_encoder(latent):
            raise Problem(
                f"the encoder died by step {self.step}",
                "Z is the same for all images",
                "lower finetune_lr, or use more channels",
            )
        return cluster_coefficients(self.config, latent, gate, self.model.coefficients)

    # Rounds

    def solve(self, step: int) -> Record:
        """The one round of a solver that takes Z as it is."""
        latent, gate = encode_all(self._autoencoder, self.pixels)
        coefficients, solved = solve_latent(latent, self.config)
        found = cluster_coefficients(self.config, latent, gate, coefficients)
        return self._finish_round(found, step, **solved)

    def _finish_round(self, found: Expressed, step: int, **solved: Any) -> Record:
        solved = solved or {"solver": "adam", "solver_reason": "chosen by the settings"}
        config = dataclasses.replace(self.config, solver=solved["solver"])
        record = save_subspace_round(self.run, config, found, self.images, self.parameters(), step=step)
        with torch.no_grad():
            restored = self._autoencoder.decode(found.latent)
        record |= {**solved, "attempt": self.attempt, **self._last_losses()}
        record["reconstruction_error"] = (restored - self.pixels).square().mean().item()
        if self.num_died:
            died = f"the encoder died {self.num_died} times; this is the start with seed {self.seed}"
            record["warnings"] = [died, *record["warnings"]]
        is_last = not self.config.is_joint or step == self.config.num_steps
        record["selection"] = self._selection(record) if is_last else None
        self.run.append_metrics(record)
        self._save_resume_point()
        return record

    def _last_losses(self) -> Record:
        """Those of the last step, or of the last epoch of the start that was gone on with."""
        *_, last = (record for record in self.run.metrics() if record.get("attempt", self.attempt) == self.attempt)
        return {key: value for key, value in last.items() if key == "loss" or key.endswith("_loss")}

    def _selection(self, record: Record) -> Record:
        rule, fixed = self.config.select, min(self.config.fixed_step, self.config.num_steps)
        rounds = [*self.run.round_metrics(), record]
        scored = [entry for entry in self.run.metrics() if entry["kind"] == "step" and "acc" in entry] or rounds
        return {**choose_round(rounds, rule=rule, fixed_step=fixed), "marks": mark_steps(scored, fixed_step=fixed)}
