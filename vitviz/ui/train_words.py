"""The sentences of the page that trains."""

from collections.abc import Mapping

from vitviz.data.sets import NamedSet
from vitviz.runs.records import Progress
from vitviz.ui.labels import safe_label

INTRO = (
    "A **run** is one training, kept as a folder: its settings, a record for every epoch and round, the arrays of every round. "
    "What you start here is a process of its own: close this page, stop the app, come back, and it is still there."
)
TEACH = (
    "Nothing is being trained. Choose a method below and press **Start**; curves appear here within seconds, and the run stands "
    "under **Runs** while it grows. The same from a terminal is one line, shown above the button."
)
SWITCHED_OFF = (
    "Training is switched off on this server (VITVIZ_ALLOW_TRAIN=0). What is being trained can be watched; to train, run vitviz "
    "on a machine of your own."
)
METHODS = {
    "deep_clustering": "A vision transformer on labels, then k-means and retraining in rounds. The labels take part throughout.",
    "idec": "A small autoencoder whose clusters sharpen themselves. No label is used; labels only score.",
    "supertokens": "A classifier whose pixels are grouped into super tokens before the transformer. It needs classes.",
    "subspace": "Every image written as a mix of others, and clustered by who is made of whom. No label is used.",
    "coat": "A CoaT-Lite that groups the queries inside its attention. It needs classes.",
}
OWN = "none"
PRESET = "Named settings that were tried. “none” begins with the method's defaults."
OWN_PATH = "a path"
DATASET = "Sets on this machine, or the path of a folder of class folders, a .zip of one, a .parquet or .mat file."
PATH = "Path of your images, as this machine sees it"
ROW = "This preset stands for several runs, the rows of a table. One of them is trained at a time."
NAME = "1 to 64 of a–z 0–9 _ -. Left empty, it is the one that stands there in grey."
MORE = "Any other setting"
MORE_HELP = "One a line, as name=value; every name is in the list below."
CONTROL = "Its control afterwards"
CONTROL_HELP = (
    "The same seed and epochs without the pull (α = 0): what every claim of clustering has to be held against."
)
ESTIMATE = "Trains for a moment on a part of the images, in a folder that is thrown away. It takes some seconds."
NO_ESTIMATE = "Not estimated yet: press **Estimate** to see how long this would take and what memory it wants."
ESTIMATE_BUSY = "another estimate is under way on this server"
ESTIMATE_FAILED = "the estimate came to an end without a word"
ESTIMATE_LATE = "the estimate did not come to an end within {seconds} seconds"
FURTHER = (
    "A run that was stopped goes on after its last record, to the same result. A finished deep clustering can have **one more "
    "round**: trained on from its last weights, clustered, scored and drawn; that it was added is written into the run."
)
NO_FURTHER = "There is no run to go on with. Train one above."
COPIED = "This run came with vitviz and stays as it is: it is copied into your runs as **{copy}** first."
LEFT = "at this pace, without maps"
STATES = {
    "queued": "waits",
    "running": "is being trained",
    "finished": "is finished",
    "failed": "failed",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
}


def working(name: str, progress: Progress) -> str:
    """The line over the bar of a run that is being trained."""
    if progress.note in ("", "starting"):
        return f"{name}: loading libraries and images"
    most = f", {progress.done} of at most {progress.total} records" if progress.total else ""
    return f"{name}: {safe_label(progress.note)}{most}"


def not_here(known: NamedSet) -> str:
    """That the preset was made for other images, and how they come to this machine."""
    return f"The preset's own images, {known.title}, are not on this machine: {known.how_to_get}. These are others."


def found(number: int, classes: tuple[str, ...]) -> str:
    """What lies at the path that was typed."""
    if not classes:
        return f"{number:,} images without classes lie there. Only methods that need no labels can use them."
    names = ", ".join(safe_label(name, max_length=30) for name in classes[:8]) + (" …" if len(classes) > 8 else "")
    return f"{number:,} images in {len(classes)} classes lie there: {names}."


def duration(seconds: float | None) -> str:
    """Seconds as a person says them, or a dash."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float) -> str:
    """Bytes as MB or GB, or a dash."""
    if not num_bytes:
        return "–"
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:.1f} GB"


def start_label(num_waiting: int, *, is_busy: bool) -> str:
    """What pressing the button does."""
    if not is_busy and not num_waiting:
        return "Start"
    return f"Queue it ({num_waiting} waiting)" if num_waiting else "Queue it"


def ended(name: str, state: str, error: str) -> str:
    """What became of a job."""
    why = f": {safe_label(error, max_length=600)}" if error else "."
    return f"**{safe_label(name)}** {STATES.get(state, state)}{why}"


def changed(settings: Mapping[str, object]) -> list[dict[str, str]]:
    """All settings as rows of a table."""
    return [{"setting": name.replace("_", "-"), "value": str(value)} for name, value in settings.items()]
