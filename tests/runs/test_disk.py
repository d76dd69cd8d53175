"""What a disk that refuses says, in words that a person can act on."""

import errno
import os

import numpy as np
import pytest

from vitviz.runs.disk import disk_problem


def error_of(number: int, *filename: str) -> OSError:
    return OSError(number, os.strerror(number), *filename)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (error_of(errno.ENOSPC), "it stopped: the disk is full; free some space"),
        (error_of(errno.EDQUOT), "it stopped: the disk is full; free some space"),
        (OSError("4096 requested and 512 written"), "it stopped: the disk is full; free some space"),
        (error_of(errno.EROFS), "it stopped: the disk is read-only; choose another folder with VITVIZ_RUNS"),
        (error_of(errno.EACCES), "it stopped: this user may not write there; choose another folder with VITVIZ_RUNS"),
        (error_of(errno.EIO), "it stopped: the disk reports an error; copy what is there to another disk"),
        (error_of(errno.ENOENT, "/a/secret/place/x.npy"), "it stopped: No such file or directory (x.npy)"),
        (OSError("something else"), "it stopped: something else"),
    ],
)
def test_the_reason_is_in_words_and_so_is_what_to_do(error, sentence):
    assert str(disk_problem("it stopped", error)) == sentence


def test_what_is_intact_and_what_comes_after_are_told_too():
    problem = disk_problem("it stopped", error_of(errno.ENOSPC), intact="round 0 is intact", then="go on")
    assert str(problem) == "it stopped: the disk is full; round 0 is intact; free some space, then go on"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_numpy_on_a_disk_that_is_really_full_is_understood():
    with pytest.raises(OSError) as raised, open("/dev/full", "wb", buffering=0) as file:
        np.save(file, np.zeros(100_000))
    assert "the disk is full" in str(disk_problem("it stopped", raised.value))


@pytest.mark.parametrize(
    ("num_rounds", "words"), [(0, "no round was complete"), (1, "round 0 is intact"), (3, "rounds 0 to 2 are")]
)
def test_a_run_tells_what_of_it_is_intact(new_run, new_round, num_rounds, words):
    run = new_run()
    for index in range(num_rounds):
        run.save_round(index, new_round(index))
    assert run.intact().startswith(words)
