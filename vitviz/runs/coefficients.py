"""``coefficients.npz`` from and to its arrays: a dense C as float16, a sparse one as the three parts of its rows."""

import json
from collections.abc import Mapping

import numpy as np

from vitviz.runs.records import Coefficients

_PARTS = ("data", "indices", "indptr")
_STACKS = ("steps", "orders", "embeddings", "eigenvalues", "scores", "gates")


def pack(coefficients: Coefficients) -> dict[str, np.ndarray]:
    """The named arrays that the file holds."""
    stacks = {name: getattr(coefficients, name) for name in _STACKS}
    arrays = {name: stack for name, stack in stacks.items() if stack is not None}
    for index, matrix in enumerate(coefficients.matrices):
        if isinstance(matrix, np.ndarray):
            arrays[f"matrix_{index:03d}"] = matrix.astype(np.float16)
        else:
            kept = {"data": matrix.data.astype(np.float16)}
            kept |= {name: getattr(matrix, name).astype(np.int32) for name in _PARTS[1:]}
            arrays |= {f"matrix_{index:03d}.{name}": part for name, part in kept.items()}
    return {**arrays, "made_by": np.array(json.dumps(coefficients.made_by))}


def unpack(arrays: Mapping[str, np.ndarray], num_rounds: int) -> Coefficients:
    """The first ``num_rounds`` of what :func:`pack` packed. Raises ValueError or KeyError when the arrays do not fit together."""
    stacks = {name: arrays[name][:num_rounds] for name in _STACKS if name in arrays}
    num_images = stacks["orders"].shape[1]
    return Coefficients(
        matrices=tuple(_matrix(arrays, index, num_images) for index in range(len(stacks["steps"]))),
        made_by=json.loads(str(arrays["made_by"])),
        **stacks,
    )


def _matrix(arrays: Mapping[str, np.ndarray], index: int, num_images: int):
    name = f"matrix_{index:03d}"
    if name in arrays:
        dense = arrays[name]
        if dense.shape != (num_images, num_images):
            raise ValueError(f"{name} of shape {dense.shape} does not fit {num_images:,} images")
        return dense
    from scipy import sparse

    data, indices, indptr = (arrays[f"{name}.{part}"] for part in _PARTS)
    # scipy computes with no float16
    matrix = sparse.csr_array((data.astype(np.float32), indices, indptr), shape=(num_images, num_images))
    matrix.check_format(full_check=True)
    return matrix
