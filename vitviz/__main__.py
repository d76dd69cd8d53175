"""``python -m vitviz``: train, look at, map and export runs from a terminal. Torch is imported only by what needs it."""

import argparse
import os
import signal
import sys

from vitviz import commands, exporting, training_commands
from vitviz.errors import Problem
from vitviz.logs import keep_log, log_incident
from vitviz.training.configs import CONFIGS
from vitviz.training.presets import PRESETS
from vitviz.training.save_and_stop import STOPPED, STOPPED_FOR_LATER, SavedAndStopped

_TRAIN_HELP = """\
Train METHOD into a run folder, one record at a time. Stop it with Ctrl-C and go on with --resume.

  python -m vitviz train deep_clustering --preset digits
  python -m vitviz train deep_clustering --preset digits --set cluster-weight=0.1 --set seed=1 --run strong-pull
  python -m vitviz train deep_clustering --set dataset=path/to/folder --set num-clusters=5 --run my-photos
  python -m vitviz train deep_clustering --run strong-pull --resume

A run with alpha > 0 is followed by its control (alpha = 0, same seed, same epochs) unless --no-control is given.

presets:
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 for a problem or something broken, 130 when it was stopped.

    75 ("try again") when SIGUSR1 asked it to save and stop, so that a batch script knows to put itself into the queue again.
    """
    options = _parser().parse_args(arguments)
    log = keep_log()
    signal.signal(signal.SIGTERM, _stop)
    try:
        return options.command(options) or 0
    except Problem as problem:
        print(f"vitviz: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("\nvitviz: stopped; the same command with --resume goes on", file=sys.stderr)
        return STOPPED_FOR_LATER if isinstance(stop, SavedAndStopped) else STOPPED
    except BrokenPipeError:
        return 0
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        print(f"vitviz: {error.strerror or error}{name}", file=sys.stderr)
        return 1
    except Exception as error:  # whatever else: its traceback is for the log
        print(f"vitviz: something broke (incident {log_incident(error)}); {log} says what", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vitviz", description=__doc__.split(":", 1)[1].strip())
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(verbs)
    _add_looking(verbs)
    _add_making(verbs)
    _add_lessons(verbs)
    _add_convert(verbs)
    _add_data(verbs)
    return parser


def _add_train(verbs) -> None:
    presets = "\n".join(f"  {name:22} {preset.title}: {preset.why}" for name, preset in PRESETS.items())
    train = verbs.add_parser(
        "train",
        help="train a method into a run",
        description=_TRAIN_HELP + presets,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("method", metavar="METHOD", help=", ".join(CONFIGS))
    train.add_argument("--preset", metavar="P", help="start from named settings")
    train.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change one setting; may be repeated"
    )
    train.add_argument(
        "--run", "--name", metavar="NAME", help="name of the run (default: the preset's, else the method's)"
    )
    train.add_argument("--resume", action="store_true", help="go on with the run of that name")
    train.add_argument(
        "--more-rounds", metavar="N", type=int, help="give the finished run of that name N further rounds"
    )
    train.add_argument("--no-control", action="store_true", help="do not train the alpha = 0 control afterwards")
    train.add_argument(
        "--rows",
        metavar="A,B",
        type=_words,
        default=[],
        help="of a preset that stands for several runs: these rows only",
    )
    train.add_argument(
        "--seeds", metavar="0,1", type=_seeds, default=[], help="of such a preset: these seeds instead of its own"
    )
    train.add_argument("--settings", action="store_true", help="print every setting with its value, and stop")
    train.add_argument(
        "--estimate", action="store_true", help="train for a moment, say how long the run would take, and stop"
    )
    train.set_defaults(command=training_commands.train)


def _add_looking(verbs) -> None:
    runs = verbs.add_parser("runs", help="list runs, or print one")
    runs.add_argument("name", nargs="?", metavar="NAME")
    runs.add_argument(
        "--json",
        action="store_true",
        help="settings and all records as one JSON object; of all runs, their last rounds",
    )
    runs.add_argument(
        "--check", action="store_true", help="compare the files of that run, or of all, with their checksums"
    )
    runs.set_defaults(command=commands.runs)

    doctor = verbs.add_parser("doctor", help="look at this machine, its folders and runs, and say what to do")
    doctor.add_argument("--json", action="store_true", help="all findings as one JSON list")
    doctor.add_argument("--check-runs", action="store_true", help="compare every byte of every run with its checksum")
    doctor.add_argument("--port", type=int, default=8501, help="the port the app is served on (default: 8501)")
    doctor.set_defaults(command=commands.doctor)


def _add_lessons(verbs) -> None:
    lessons = verbs.add_parser("lessons", help="list the lessons, or check a file that is to be one")
    kinds = lessons.add_subparsers(metavar="check FILE")
    check = kinds.add_parser("check", help="say what is wrong with a lesson file")
    check.add_argument("file", metavar="FILE")
    lessons.set_defaults(command=commands.lessons, file=None)


def _add_making(verbs) -> None:
    embed = verbs.add_parser("embed", help="embed images with the network of a run")
    embed.add_argument("name", metavar="RUN")
    embed.add_argument("images", metavar="IMAGES", help="a data set's name, or a folder, zip, parquet or .mat file")
    embed.add_argument(
        "out", metavar="OUT.npz", help="embeddings, cluster ids, distances, labels and names are written here"
    )
    embed.add_argument("--round", type=int, help="the round whose network is used (default: the last)")
    embed.set_defaults(command=commands.embed)

    project = verbs.add_parser("project", help="draw the maps of a run again")
    project.add_argument("name", metavar="RUN")
    project.add_argument("--engine", default="auto", choices=("auto", "aligned_umap", "warm_umap", "umap", "pca"))
    project.add_argument("--seed", type=int, default=0)
    project.set_defaults(command=commands.project)

    export = verbs.add_parser(
        "export",
        help="copy a run out: a folder or .zip to hand on, an offline .html page, or a .csv / .parquet of points",
    )
    export.add_argument("name", metavar="RUN")
    export.add_argument("out", metavar="OUT")
    export.add_argument("--half", action="store_true", help="weights as float16: half as large, good enough to look at")
    export.add_argument("--scores", action="store_true", help="settings and records only, no arrays and no weights")
    export.add_argument(
        "--compact",
        metavar="C",
        type=int,
        help="a small folder: C principal components of the embeddings, few bits, few weights",
    )
    export.add_argument(
        "--weights",
        choices=("all", "ends", "last", "none"),
        default="ends",
        help="with --compact: the weights of all rounds, of the first and last (ends), of the last, or of none",
    )
    export.add_argument(
        "--thumbnails", action="store_true", help="images in the .html also where the licence is not known to allow it"
    )
    export.add_argument("--atlas", action="store_true", help="a .parquet of one round as Embedding Atlas opens it")
    export.add_argument("--round", type=int, help="the round of --atlas (default: the last)")
    export.set_defaults(command=exporting.export)


def _add_convert(verbs) -> None:
    convert = verbs.add_parser(
        "convert",
        help="write a checkpoint of somebody else's as a safetensors file",
        description="Offline, and without running anything the file says: a file that holds more than tensors is refused.",
    )
    convert.add_argument("source", metavar="SOURCE", help="what torch.save wrote, or a safetensors file")
    convert.add_argument("out", metavar="OUT.safetensors")
    convert.add_argument("--part", default="", help="only names that begin with it, without it: teacher.backbone")
    convert.add_argument(
        "--as", dest="model", default="", metavar="MODEL", help="the model of timm it must fit; writes timm's names"
    )
    convert.set_defaults(command=commands.convert)


def _add_data(verbs) -> None:
    data = verbs.add_parser("data", help="list, check and download data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the named data sets, and whether they are here")
    listing.set_defaults(command=commands.data_list)
    get = actions.add_parser("get", help="download a named data set")
    get.add_argument("name", metavar="NAME")
    get.set_defaults(command=commands.data_get)
    check = actions.add_parser("check", help="open a data set and say what was found in it")
    check.add_argument("source", metavar="NAME_OR_PATH")
    check.add_argument("--img-size", type=int)
    check.set_defaults(command=commands.data_check)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _seeds(text: str) -> list[int]:
    return [int(word) for word in _words(text)]


def _stop(number, frame) -> None:
    raise KeyboardInterrupt


def _leave(code: int) -> None:
    """End the process; one that was asked to stop goes at once: all is on the disk, and taking torch down lasts a second."""
    if code not in (STOPPED, STOPPED_FOR_LATER):
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
