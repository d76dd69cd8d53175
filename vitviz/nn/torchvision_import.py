"""Import torchvision even where a CPU build of torch stands beside a CUDA build of torchvision.

That pair fails at import with "operator torchvision::nms does not exist": torchvision describes two operators whose
compiled half is missing. Defining the two missing schemas lets the rest of torchvision (datasets, transforms, what timm
uses) work; the two operators themselves stay unavailable.
"""

import importlib
import sys
from types import ModuleType

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept_libraries = []


def import_torchvision() -> ModuleType:
    """``import torchvision``, repaired only if it fails for that one reason. Call it before importing timm."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    _forget("torchvision")
    _define_schemas()
    return importlib.import_module("torchvision")


def is_repaired() -> bool:
    """Whether the import had to be repaired in this process."""
    return bool(_kept_libraries)


def _define_schemas() -> None:
    import torch

    # a torch Library takes its definitions along when it is garbage-collected
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _kept_libraries.append(library)


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
