"""Our training and embedding loops against a plain timm + torch loop of the same model (ratio above 1: ours is faster).

``python -m benchmarks.training [--quick] [--json]``
"""

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.table import Row, interleaved, main
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer, init_weights
from vitviz.training.feed import EpochPlan
from vitviz.training.loop import embed_images, train_epoch
from vitviz.training.state import make_optimizer

SHAPES = {
    "digits shape (32 px, patch 8, D 48, depth 3), batch 32": ({"embed_dim": 48, "depth": 3, "num_heads": 4}, 32, 640),
    "CIFAR shape (32 px, patch 4, D 192, depth 6), batch 128": (
        {"patch_size": 4, "embed_dim": 192, "depth": 6, "num_heads": 6},
        128,
        512,
    ),
}


def measure(quick: bool) -> list[Row]:
    """One epoch of each, in turn."""
    rows = []
    for title, (shape, batch_size, num_images) in list(SHAPES.items())[: 1 if quick else None]:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (num_images, 32, 32, 3), dtype=np.uint8)
        classes = torch.from_numpy(rng.integers(0, 10, num_images))
        settings = {"img_size": 32, "patch_size": 8, "num_classes": 10, **shape}
        pairs = 3 if quick else 11
        ours, rival = interleaved(
            our_epoch(settings, images, classes, batch_size),
            plain_epoch(settings, images, classes, batch_size),
            pairs=pairs,
        )
        rows.append(
            Row(
                f"training, {title}",
                ours / num_images * 1e6,
                "µs/image",
                "plain timm + torch",
                rival / num_images * 1e6,
            )
        )
        ours, rival = interleaved(our_embedding(settings, images), plain_embedding(settings, images), pairs=pairs)
        rows.append(
            Row(
                f"embedding, {title}",
                ours / num_images * 1e6,
                "µs/image",
                "plain timm + torch",
                rival / num_images * 1e6,
            )
        )
    return rows


def our_epoch(settings: dict, images: np.ndarray, classes: torch.Tensor, batch_size: int):
    model = init_weights(VisionTransformer(**settings), torch.Generator().manual_seed(0))
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05)
    plan = EpochPlan(rows=np.arange(len(images)), batch_size=batch_size, lr=lambda share: 1e-3, seed=0, epoch=0)

    def loss(model, pixels, rows):
        return {"loss": F.cross_entropy(model(pixels).logits, classes[rows])}

    return lambda: train_epoch(model, optimizer, images, loss, plan)


def plain_epoch(settings: dict, images: np.ndarray, classes: torch.Tensor, batch_size: int):
    model = _timm_model(settings).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)

    def epoch():
        for rows in torch.randperm(len(images)).split(batch_size):
            pixels = torch.from_numpy(images[rows.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1
            loss = F.cross_entropy(model(pixels), classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def our_embedding(settings: dict, images: np.ndarray):
    model = init_weights(VisionTransformer(**settings), torch.Generator().manual_seed(0))
    return lambda: embed_images(model, images, np.arange(len(images)))


def plain_embedding(settings: dict, images: np.ndarray):
    model = _timm_model(settings).eval()

    @torch.no_grad()
    def embed():
        parts = []
        for rows in torch.arange(len(images)).split(256):
            pixels = torch.from_numpy(images[rows.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1
            parts.append(model.forward_features(pixels)[:, 0])
        return torch.cat(parts)

    return embed


def _timm_model(settings: dict):
    import_torchvision()
    from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer

    return TimmVisionTransformer(**settings)


if __name__ == "__main__":
    main(measure, __doc__)
