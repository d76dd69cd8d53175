"""Learning from another network's answers: the loss, and which run may teach which.

Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from torch import Tensor
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.runs.folder import Run, find_run


def distillation_loss(
    logits: Tensor, targets: Tensor, teacher_logits: Tensor, *, weight: float, temperature: float
) -> dict[str, Tensor]:
    """The parts of (1 - w) CE(targets, p) + w T^2 KL(teacher || p at T): ``loss``, ``class_loss`` and ``teacher_loss``, T^2 KL.

    logits and teacher_logits (B, num_classes); targets (B, num_classes), rows sum to 1. T^2 keeps the size of the gradient.
    """
    softened, wanted = ((one / temperature).log_softmax(dim=1) for one in (logits, teacher_logits))
    class_loss = F.cross_entropy(logits, targets)
    teacher_loss = temperature**2 * F.kl_div(softened, wanted, reduction="batchmean", log_target=True)
    return {
        "loss": (1 - weight) * class_loss + weight * teacher_loss,
        "class_loss": class_loss,
        "teacher_loss": teacher_loss,
    }


def find_teacher(name: str, student: Run) -> Run:
    """The run of that name, if it may teach ``student``.

    Raises: Problem when there is none, or it saw other images, or trained on what the student holds out: its answers would tell
        the student about them.
    """
    teacher = find_run(name)
    if teacher.description().dataset_fingerprint != student.description().dataset_fingerprint:
        raise Problem(f"run '{name}' cannot teach '{student.name}'", "it was trained on other images")
    leaked = int((student.samples().held_out & ~teacher.samples().held_out).sum())
    if leaked:
        raise Problem(
            f"run '{name}' cannot teach '{student.name}'",
            f"it was trained on {leaked:,} images that '{student.name}' holds out",
            "take a teacher with the same seed",
        )
    return teacher
