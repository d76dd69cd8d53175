"""Clustering CoaT beside what it replaces: torch's full attention, timm's factorised attention, timm's whole CoaT-Lite Tiny.

``python -m benchmarks.coat [--quick] [--json] [--run NAME]``. One thread, and the processor seconds of that thread; rivals run in
turn in this process on the same numbers, after a warm-up, and where both compute the same they agree to 1e-4. Medians.

Cores: one picture, 8 heads of width 8, normal random queries, keys and values; ``sign`` and ``e2lsh`` cluster anew every time. A
clustered softmax is compared with ``scaled_dot_product_attention``; what is factorised with timm's module, its layers and its
position encoding taken out (it still adds a zero). The row of the hashes alone says what they take beside timm's whole core.

Whole models: one picture of 224 px; weights are drawn from seed 0, queries, keys and values 30 times as large.

With ``--run`` the images that a trained run held out say how often the class stays the same; and its own network, one such image
of 224 px at a time, is timed beside timm's with the same weights.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.table import Row, print_table
from vitviz.data.batches import to_tensor
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.explain.coat_costs import blocks_of
from vitviz.explain.coat_images import agreement, counts_of, exact_of
from vitviz.explain.coat_times import mix
from vitviz.nn.coat import CoaT, coat_lite, init_weights
from vitviz.nn.coat_block import UNCLUSTERED, Clustering
from vitviz.nn.query_groups import Grouping, group_queries
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.runs.folder import Run, find_run
from vitviz.training.coat import load_model

HEADS, DIM = 8, 8
SIGN = Grouping(method="sign", num_bits=6)
HASHES = {
    "sign, 64 groups": SIGN,
    "sign, 256 groups": Grouping(method="sign", num_bits=8),
    "e2lsh, r = 4": Grouping(),
    "e2lsh, at most 64 groups": Grouping(max_clusters=64),
    "sign+lloyd, 64 groups": Grouping(method="sign+lloyd"),
    "kmeans, 64 groups": Grouping(method="kmeans"),
}
SDPA, TIMM_CORE, TIMM = "torch, full softmax", "timm's factorised core", "timm's CoaT-Lite Tiny"
MLP = Clustering(attention=UNCLUSTERED.attention, mlp_stages=(1, 2))
SOFTMAX = Clustering(attention=("softmax", "softmax", "unclustered", "unclustered"), grouping=SIGN)
FULL = Clustering(attention=("full softmax", "full softmax", "unclustered", "unclustered"))
_NUM_IMAGES = 512
_IMG_SIZE = 224
_TRAINED_WIDTHS = (8.0, 16.0, 24.0, 32.0)

Work = Callable[[], object]


def measure(quick: bool, run_name: str | None) -> Iterator[Row]:
    """Row by row. Raises Problem when there is no such run."""
    torch.set_num_threads(1)
    run = run_name and find_run(run_name)
    with torch.inference_mode():
        for num_tokens in (3137,) if quick else (3137, 16_385):
            yield from _cores(num_tokens, repeats=3 if quick else 15)
        yield from _whole_models(repeats=2 if quick else 11)
    if run:
        model = load_model(run)
        yield from _trained(run, model, num_images=8 if quick else 32)
        yield from _agreement(model, _held_out(run, run.description().img_size)[: 64 if quick else None])


def _cores(num_tokens: int, repeats: int) -> Iterator[Row]:
    # in memory as a model's one layer for all three leaves them
    layer = torch.randn(1, num_tokens, 3, HEADS, DIM, generator=torch.Generator().manual_seed(0))
    qkv = layer.permute(2, 0, 3, 1, 4)
    timm_core = _timm_core(qkv)
    torch.testing.assert_close(timm_core(), _mixed("unclustered", qkv, SIGN), rtol=1e-4, atol=1e-4)
    works: dict[str, Work] = {
        TIMM_CORE: timm_core,
        "factorised, every query": lambda: _mixed("unclustered", qkv, SIGN),
        "factorised, clustered, sign, 64 groups": lambda: _mixed("factorised", qkv, SIGN),
        "factorised, clustered, e2lsh, r = 4": lambda: _mixed("factorised", qkv, Grouping()),
    }
    for name, grouping in HASHES.items():
        works[f"clustering alone, {name}"] = lambda grouping=grouping: _group(qkv, grouping)
    yield from _rows(f"N = {num_tokens:,}: ", works, TIMM_CORE, "ms", repeats)
    works = {SDPA: lambda: _mixed("full softmax", qkv, SIGN)}
    for name, grouping in HASHES.items():
        works[f"clustered softmax, {name}"] = lambda grouping=grouping: _mixed("softmax", qkv, grouping)
    yield from _rows(f"N = {num_tokens:,}: ", works, SDPA, "ms", 1 + repeats // 5)


def _mixed(kind: str, qkv: Tensor, grouping: Grouping) -> Tensor:
    """As the output projection wants it, (1, T, h d)."""
    return mix(kind, *qkv, grouping).transpose(1, 2).flatten(2)


def _group(qkv: Tensor, grouping: Grouping) -> object:
    return group_queries(qkv[0, :, :, 1:], grouping, grid=(1, qkv.shape[3] - 1))


class _Given(nn.Module):
    """Instead of a layer: what it would return, whatever it is given."""

    def __init__(self, outcome: Tensor):
        super().__init__()
        self.outcome = outcome

    def forward(self, *_, **__) -> Tensor:
        return self.outcome


def _timm_core(qkv: Tensor) -> Work:
    """timm's factorised attention of (3, 1, h, T, d) with its layers and position encoding taken out: (1, T, h d)."""
    import_torchvision()
    from timm.models.coat import FactorAttnConvRelPosEnc

    tokens = torch.empty(1, qkv.shape[3], HEADS * DIM)
    module = FactorAttnConvRelPosEnc(HEADS * DIM, HEADS, shared_crpe=_Given(torch.zeros(()))).eval()
    module.qkv = _Given(qkv.permute(1, 3, 0, 2, 4).flatten(2).contiguous())
    module.proj = nn.Identity()
    return lambda: module(tokens, (1, qkv.shape[3] - 1))


def _whole_models(repeats: int) -> Iterator[Row]:
    ours = init_weights(coat_lite("tiny", clustering=UNCLUSTERED), torch.Generator().manual_seed(0)).eval()
    for name, parameter in ours.named_parameters():
        if "qkv" in name:
            parameter.data.mul_(30)
    import_torchvision()
    import timm

    theirs = timm.create_model("coat_lite_tiny", pretrained=False).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image = _picture()
    torch.testing.assert_close(ours(image).logits, theirs(image), rtol=1e-4, atol=1e-4)
    works: dict[str, Work] = {
        TIMM: lambda: theirs(image),
        "ours, nothing clustered": lambda: ours(image),
        "MLP of stages 1-2 clustered, e2lsh, r = 16": lambda: ours(image, clustering=MLP),
        "queries clustered, factorised, e2lsh, r = 4": lambda: ours(image, clustering=Clustering()),
        "queries clustered, softmax, sign, 64 groups": lambda: ours(image, clustering=SOFTMAX),
    }
    yield from _rows("CoaT-Lite Tiny, 224 px: ", works, TIMM, "ms", repeats)
    full = "full softmax in stages 1-2"
    works = {full: lambda: ours(image, clustering=FULL), "clustered softmax": lambda: ours(image, clustering=SOFTMAX)}
    yield from _rows("CoaT-Lite Tiny, 224 px: ", works, full, "ms", repeats)


def _picture() -> Tensor:
    """Smooth colours under a little noise, (1, 3, 224, 224), about -1..1."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 7, 7, generator=generator) * 2 - 1
    smooth = nn.functional.interpolate(coarse, size=(224, 224), mode="bilinear")
    return smooth + 0.05 * torch.randn(smooth.shape, generator=generator)


def _held_out(run: Run, img_size: int) -> np.ndarray:
    """Images (B, H, W, 3) uint8 that the run was not trained on, 512 at most, at ``img_size`` px."""
    rows = np.flatnonzero(run.samples().held_out)[:_NUM_IMAGES]
    if not len(rows):
        raise Problem(f"run '{run.name}' held no images out")
    about = run.description()
    return open_image_set(about.dataset, img_size=img_size, limit=about.settings.get("limit")).images[rows]


def _trained(run: Run, model: CoaT, num_images: int) -> Iterator[Row]:
    """The trained network with its MLPs clustered, one held-out image after the other, beside timm's with its weights."""
    images = _held_out(run, _IMG_SIZE)[:num_images]
    theirs = _timm_twin(model, _IMG_SIZE)
    batches = [to_tensor(image[None], torch.device("cpu")) for image in images]
    with torch.inference_mode():
        torch.testing.assert_close(
            model(batches[0], clustering=UNCLUSTERED).logits, theirs(batches[0]), rtol=1e-4, atol=1e-4
        )
        works: dict[str, Work] = {
            "timm, the same weights": lambda: [theirs(batch) for batch in batches],
            "ours, nothing clustered": lambda: [model(batch, clustering=UNCLUSTERED) for batch in batches],
        }
        for r_rel in _TRAINED_WIDTHS:
            name = f"MLP of stages 1-2 clustered, e2lsh, r = {r_rel:g}"
            works[name] = lambda r_rel=r_rel: [model(batch, clustering=_mlp(r_rel)) for batch in batches]
        title = f"{run.name}, {len(images)} held-out images of {_IMG_SIZE} px, one at a time: "
        rival, per_image = "timm, the same weights", 1e3 / len(images)
        seconds = _in_turn(works, repeats=3)
        for name in list(works)[1:]:
            yield Row(title + name, seconds[name] * per_image, "ms", rival, seconds[rival] * per_image)
    for r_rel in _TRAINED_WIDTHS:
        found = agreement(model, images, _mlp(r_rel), against=UNCLUSTERED, batch_size=1)
        yield Row(f"{title}same class as unclustered, MLP, r = {r_rel:g}", 100 * found.top1, "%")


def _mlp(r_rel: float) -> Clustering:
    return dataclasses.replace(MLP, mlp_grouping=Grouping(r_rel=r_rel))


def _timm_twin(model: CoaT, img_size: int) -> nn.Module:
    """timm's network of the same widths, depths and weights, for pictures of ``img_size`` px."""
    import_torchvision()
    from timm.models.coat import CoaT as TimmCoaT

    blocks = [blocks_of(model, stage) for stage in (1, 2, 3, 4)]
    widths = [stage[0].mlp.fc1.in_features for stage in blocks]
    attention = blocks[0][0].factoratt_crpe
    head_dim, crpe = widths[0] // attention.num_heads, attention.crpe
    theirs = TimmCoaT(
        img_size=img_size,
        patch_size=model.patch_size,
        num_classes=model.head.out_features,
        embed_dims=widths,
        serial_depths=[len(stage) for stage in blocks],
        parallel_depth=0,
        num_heads=attention.num_heads,
        mlp_ratios=[stage[0].mlp.fc1.out_features / width for stage, width in zip(blocks, widths, strict=True)],
        crpe_window={
            conv.kernel_size[0]: width // head_dim for conv, width in zip(crpe.conv_list, crpe.splits, strict=True)
        },
    )
    theirs.load_state_dict(model.state_dict(), strict=True)
    return theirs.eval()


def _agreement(model: CoaT, images: np.ndarray) -> Iterator[Row]:
    """How often the class stays that of the unclustered model, and how many groups that takes; in the form it was trained in."""
    is_softmax = {"softmax", "full softmax"} & set(model.clustering.attention)
    attention = SOFTMAX.attention if is_softmax else Clustering().attention
    for r_rel in (2.0, 4.0, 8.0, 16.0):
        queries = Clustering(attention=attention, grouping=Grouping(r_rel=r_rel))
        exact = exact_of(queries)
        tokens = dataclasses.replace(exact, mlp_stages=(1, 2), mlp_grouping=Grouping(r_rel=r_rel))
        for of, clustering in (("queries", queries), ("mlp", tokens)):
            found = agreement(model, images, clustering, against=exact)
            share = float(counts_of(model, images, clustering, of=of).shares.mean())
            figure = (
                f"{attention[0] if of == 'queries' else 'MLP'}, r = {r_rel:g}, {found.num_images} held-out images: "
            )
            yield Row(f"{figure}same class as unclustered", 100 * found.top1, "%")
            yield Row(f"{figure}KL(unclustered || clustered)", found.kl, "nats")
            yield Row(f"{figure}groups to tokens, stages 1-2", 100 * share, "%")


def _rows(title: str, works: Mapping[str, Work], rival: str, unit: str, repeats: int) -> Iterator[Row]:
    """Every work but the rival's beside the rival, in thousandths of a second."""
    seconds = _in_turn(works, repeats)
    for name, value in seconds.items():
        if name != rival:
            yield Row(title + name, value * 1e3, unit, rival, seconds[rival] * 1e3)


def _in_turn(works: Mapping[str, Work], repeats: int) -> dict[str, float]:
    """Median processor seconds of each, called in turn after one warm-up: other processes take wall time, but not these."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.thread_time()
            work()
            seconds[name].append(time.thread_time() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    """Print the table, or with ``--json`` one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="224 px only, few repeats, 64 images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", help="a trained run of the method coat, for agreement")
    options = parser.parse_args()
    try:
        rows = list(measure(options.quick, options.run))
    except Problem as problem:
        sys.exit(str(problem))
    if options.json:
        found = {"quick": options.quick, "rows": [dataclasses.asdict(row) | {"ratio": row.ratio} for row in rows]}
        print(json.dumps(found))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
