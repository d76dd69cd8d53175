"""The table that every benchmark prints, and the command line they share."""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure of ours beside the rival's. ``ratio`` = rival / ours: above 1 ours is the better; None without a rival."""

    figure: str
    value: float
    unit: str
    rival: str = ""
    rival_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """rival_value / value; None when there is no rival or ours is 0."""
        return self.rival_value / self.value if self.rival_value is not None and self.value else None


def print_table(rows: Sequence[Row]) -> None:
    """Print figure, value, rival and ratio in aligned columns."""
    head = ("figure", "value", "rival", "rival's value", "ratio")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def main(measure: Callable[[bool], Sequence[Row]], description: str = "") -> None:
    """Run ``measure(quick)`` and print its rows: a table, or with ``--json`` one JSON object."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller problem")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = measure(options.quick)
    if options.json:
        print(
            json.dumps(
                {"quick": options.quick, "rows": [dataclasses.asdict(row) | {"ratio": row.ratio} for row in rows]}
            )
        )
    else:
        print_table(rows)


def interleaved(ours: Callable[[], object], rival: Callable[[], object], *, pairs: int) -> tuple[float, float]:
    """Median wall seconds of ``ours`` and ``rival``, called in turn ``pairs`` times after one warm-up of each."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(pairs + 1):
        for times, work in zip(seconds, (ours, rival), strict=True):
            start = time.perf_counter()
            work()
            if turn > 0:
                times.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _cells(row: Row) -> tuple[str, ...]:
    rival_value = "" if row.rival_value is None else f"{row.rival_value:,.3g} {row.unit}"
    ratio = "" if row.ratio is None else f"{row.ratio:,.{2 if row.ratio < 10 else 1}f}x"
    return row.figure, f"{row.value:,.3g} {row.unit}", row.rival, rival_value, ratio
