"""How large the papers' models are when they are built as printed: parameters and multiply-adds, counted and not measured."""

from dataclasses import dataclass

from vitviz.errors import Problem
from vitviz.explain.embedding_costs import count_macs, count_parameters
from vitviz.explain.paper_claims import PaperRow

_IMG_SIZE = 224
_SMALL_SIZE = 32


@dataclass(frozen=True)
class PaperSize:
    """Of the embedding alone and of the whole classifier of 100 classes: parameters, and multiply-adds for one image."""

    embedding_parameters: int
    parameters: int
    embedding_macs: int
    macs: int


@dataclass(frozen=True)
class AutoencoderSize:
    """Parameters of the encoder, of the gate behind it (0 without one) and of the decoder; how many numbers an image becomes."""

    encoder: int
    gate: int
    decoder: int
    latent_dim: int


def count_size(row: PaperRow) -> PaperSize | None:
    """The size of a row at the paper's settings: 224 px, width 384, depth 12, 100 classes; None where it names no embedding.

    Multiply-adds are those of convolutions and matrix products, attention and clustering with them. The body is counted on the
    meta device, which computes nothing; the embedding runs once, on one blank image.

    Raises: Problem on an embedding there is not.
    Source: section 3 with Tables 3-5 and 7.
    """
    import torch

    from vitviz.nn.embed import EMBEDDINGS, NormedPatchEmbed, paper_vit

    if not row.embedding:
        return None
    if row.embedding not in EMBEDDINGS:
        raise Problem(f"embedding={row.embedding!r} must be one of {', '.join(EMBEDDINGS)}")
    embedding = EMBEDDINGS[row.embedding](**row.options).eval()
    with torch.device("meta"):
        patches = NormedPatchEmbed().eval()
        body = paper_vit(patches, img_size=_IMG_SIZE).eval()
        blank = torch.empty(1, 3, _IMG_SIZE, _IMG_SIZE)
    own = count_macs(embedding, torch.zeros(1, 3, _IMG_SIZE, _IMG_SIZE))
    return PaperSize(
        embedding_parameters=count_parameters(embedding),
        parameters=count_parameters(body) - count_parameters(patches) + count_parameters(embedding),
        embedding_macs=own,
        macs=count_macs(body, blank) - count_macs(patches, blank) + own,
    )


def count_autoencoder(row: PaperRow) -> AutoencoderSize | None:
    """The size of a row of subspace clustering at 32 x 32 grey pixels; None where it names no channels.

    C, with one number for every pair of images, is the same in all rows and not in here. Nothing is computed.
    """
    import torch

    from vitviz.nn.subspace import SubspaceAutoencoder

    if "channels" not in row.options:
        return None
    with torch.device("meta"):
        model = SubspaceAutoencoder(img_size=_SMALL_SIZE, **row.options)
    height, width = model.grid
    return AutoencoderSize(
        encoder=count_parameters(model.encoder),
        gate=0 if model.attn is None else count_parameters(model.attn),
        decoder=count_parameters(model.decoder),
        latent_dim=model.channels * height * width,
    )
