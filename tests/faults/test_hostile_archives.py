"""Archives, tables and matrices that were made to do harm: images or one sentence, and nothing written beside the cache."""

import copy
import io
import json
import os
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NUM_QUICK, NUM_FULL = 150, 1_500

Report = dict[str, str]


def png(seed: int = 0, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def pack(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of two hundred good images and more."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number in range(200):
            archive.writestr(f"{'cat' if number % 2 else 'dog'}/{number:03}.png", png(number % 5))
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def with_flags(content: bytes, flags: int) -> bytes:
    changed = bytearray(content)
    changed[changed.rindex(b"PK\x01\x02") + 8] |= flags
    return bytes(changed)


def with_size(content: bytes, name: str, size: int) -> bytes:
    """The directory claims that a member is of that size."""
    changed, place = bytearray(content), content.rindex(name.encode()) - 46
    assert changed[place : place + 4] == b"PK\x01\x02"
    changed[place + 24 : place + 28] = struct.pack("<I", size)
    return bytes(changed)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("../../evil.png")
        member.size = len(png())
        archive.addfile(member, io.BytesIO(png()))
    return file.getvalue()


def overlapping() -> bytes:
    """A hundred names for one part of the archive, which inflates to 18 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/0.png", bytes(18 * 2**20))
        for number in range(1, 100):
            again = copy.copy(archive.filelist[0])
            again.filename = f"cat/{number}.png"
            archive.filelist.append(again)
    return file.getvalue()


def many_members() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/0.png", b"")
        one = archive.filelist[0]
        for number in range(1, 100_001):
            again = copy.copy(one)
            again.filename = f"cat/{number}.png"
            archive.filelist.append(again)
    return file.getvalue()


ARCHIVES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a name that climbs": ("a.zip", lambda: pack([("../../evil.png", png())]), "skipped its name leads out"),
    "an absolute name": ("a.zip", lambda: pack([("/etc/evil.png", png())]), "skipped its name leads out"),
    "a name of another system": ("a.zip", lambda: pack([("C:\\evil.png", png())]), "skipped its name leads out"),
    "a link": ("a.zip", lambda: pack([link("cat/evil.png", "/etc/passwd")]), "skipped it is not a JPEG"),
    "a name twice": ("a.zip", lambda: pack([("cat/x.png", png()), ("cat/./x.png", png())]), "twice"),
    "a password": ("a.zip", lambda: with_flags(pack([("cat/x.png", png())]), 1), "protected by a password"),
    "an archive in the archive": ("a.zip", lambda: pack([("cat/inner.zip", pack([]))]), "200 images"),
    "a tar": ("a.tar", tar, "tar archives are not accepted"),
    "a tar that calls itself zip": ("a.zip", tar, "it is not a zip archive"),
}
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "zeros a thousandfold": (lambda: pack([("cat/x.png", bytes(15 * 2**20))]), "inflates more than 200 times"),
    "a member that claims to be small": (
        lambda: with_size(pack([("cat/x.png", bytes(2**28))]), "cat/x.png", 1000),
        "its part of the archive is damaged",
    ),
    "a member that claims 3 GB": (
        lambda: with_size(pack([("cat/x.png", png())]), "cat/x.png", 3 * 2**30),
        "it is larger than 20 MB",
    ),
    "a hundred names for one part": (overlapping, "inflates more than 200 times|cannot be read|damaged"),
    "a hundred thousand and one members": (many_members, "100,001 members, and at most 100,000"),
    "gigabytes together": (
        lambda: with_size(
            with_size(pack([("a/x.png", png()), ("a/y.png", png())]), "a/x.png", 2**32 - 2), "a/y.png", 2**32 - 2
        ),
        "it inflates to 8.0 GB, and at most 4",
    ),
}


@pytest.fixture
def open_all(tmp_path) -> Callable[[Iterable[tuple[str, bytes]]], Report]:
    """``open_all([("a.zip", b"...")])``: what became of each file, all opened by one process that is watched from inside.

    A process that ends early names the file it ended at.
    """

    def run(files: Iterable[tuple[str, bytes]]) -> Report:
        folder = tmp_path / "given"
        folder.mkdir(exist_ok=True)
        paths = []
        for name, content in files:
            paths.append(folder / name)
            paths[-1].write_bytes(content)
        before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__).parent / "open_sets.py")]
        lines = "".join(f"{path}\n" for path in paths)
        done = subprocess.run(command, input=lines, capture_output=True, text=True, env=environment, cwd=tmp_path)
        reports = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(reports) == len(paths), (
            f"ended with {done.returncode} at {paths[len(reports)]}: {done.stderr[-2000:]}"
        )
        assert [report["misdeeds"] for report in reports if report["misdeeds"]] == []
        assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
        return {Path(report["file"]).name: report["outcome"] for report in reports}

    return run


def outcome_of(open_all, name: str, content: bytes) -> str:
    return open_all([(name, content)])[name]


def test_crafted_archives_are_read_without_what_is_wrong_or_refused(open_all):
    files = {f"{number}-{name}": make() for number, (name, make, _) in enumerate(ARCHIVES.values())}
    found = open_all(files.items())
    wanted = zip(found.values(), (words for *_, words in ARCHIVES.values()), ARCHIVES, strict=True)
    assert [(case, outcome) for outcome, words, case in wanted if words not in outcome] == []


def test_zip_bombs_are_refused_or_left_out(open_all):
    files = {f"{number}.zip": make() for number, (make, _) in enumerate(BOMBS.values())}
    assert max(map(len, files.values())) < 25 * 2**20
    found = open_all(files.items())
    wanted = zip(found.values(), (words for _, words in BOMBS.values()), BOMBS, strict=True)
    assert [(case, one) for one, words, case in wanted if not any(word in one for word in words.split("|"))] == []


# Tables


def parquet(cells: list, labels: list, **options) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"img": cells, "label": labels}), file, **options)
    return file.getvalue()


def tables() -> list[bytes]:
    cells, labels = [png(number) for number in range(12)], [number % 3 for number in range(12)]
    structs = [{"bytes": cell, "path": "../secret.png"} for cell in cells]
    return [
        parquet(structs, labels),
        parquet(structs, [f"class {label}" for label in labels], row_group_size=5, compression="zstd"),
        parquet(cells, labels, use_dictionary=False, compression="none", data_page_version="2.0"),
    ]


def one_text(number: int) -> bytes:
    """So many labels that are all one text of 8 MB, stored once."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * number, pa.int32()), pa.array(["a" * 2**23]))
    return parquet([png()] * number, words, dictionary_pagesize_limit=2**26)


TABLE_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "two million and one rows of nothing": (
        lambda: parquet(pa.nulls(2_000_001, pa.binary()), pa.repeat(0, 2_000_001)),
        "2,000,001 rows, and at most 2,000,000 are read",
    ),
    "zeros a thousandfold": (
        lambda: parquet(pa.array([bytes(2**26)], pa.binary()), [0], compression="zstd", use_dictionary=False),
        "its column 'img' unpacks more than 200 times; it looks like a bomb",
    ),
    "labels of gigabytes, stored once": (lambda: one_text(1000), "one of its labels is longer than 1,000 characters"),
}


def mat() -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"fea": np.random.default_rng(0).random((9, 16)), "gnd": np.arange(9) % 3})
    return file.getvalue()


def archives() -> list[bytes]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(f"{number % 2}/{number}.png", png(number))
    return [file.getvalue()]


def test_tables_that_unpack_to_gigabytes_are_refused(open_all):
    files = {f"{number}.parquet": make() for number, (make, _) in enumerate(TABLE_BOMBS.values())}
    assert max(map(len, files.values())) < 2**20
    found = open_all(files.items())
    wanted = zip(found.values(), (words for _, words in TABLE_BOMBS.values()), TABLE_BOMBS, strict=True)
    assert [(case, one) for one, words, case in wanted if words not in one] == []


def test_the_watch_sees_what_it_is_for(tmp_path):
    code = (
        "import os, socket, sys, open_sets\n"
        "sys.addaudithook(open_sets.watch)\n"
        "open('new.txt', 'w').close(); os.mkdir('folder'); os.rename('new.txt', 'other.txt'); os.remove('other.txt')\n"
        "os.system('true'); socket.socket(socket.AF_UNIX).connect_ex('nowhere')\n"
        "print(*[line.split()[0] for line in open_sets.misdeeds])\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == ["open", "os.mkdir", "os.rename", "os.remove", "os.system", "socket.connect"]


def mutant_outcomes(open_all, mutants, number: int, seed: int) -> Counter:
    files = [(f"{index}.parquet", one) for index, one in enumerate(mutants(tables(), number, seed=seed, near=1500))]
    files += [(f"{index}.mat", one) for index, one in enumerate(mutants([mat()], number // 5, seed=seed, near=300))]
    files += [(f"{index}.zip", one) for index, one in enumerate(mutants(archives(), number // 5, seed=seed, near=500))]
    return Counter(open_all(files).values())


def test_mutated_tables_matrices_and_archives_are_images_or_one_sentence(open_all, mutants):
    found = mutant_outcomes(open_all, mutants, NUM_QUICK, seed=0)
    assert any(outcome.endswith(" images") for outcome in found) and len(found) > 10
    assert not any("\n" in outcome for outcome in found)


@pytest.mark.full
def test_fifteen_hundred_mutated_tables(open_all, mutants, tell):
    found = mutant_outcomes(open_all, mutants, NUM_FULL, seed=1)
    opened = sum(count for outcome, count in found.items() if " images" in outcome[:12])
    tell(
        f"{NUM_FULL:,} parquet, {NUM_FULL // 5} mat, {NUM_FULL // 5} zip mutants: {opened:,} opened, the rest sentences"
    )
    tell("nothing written outside the cache, 0 crashes, 0 tracebacks")
