"""Out of memory is recognised from whoever says it, and told as what was needed, what there was, and what would fit."""

import numpy as np
import pytest
import torch

from vitviz.training.memory import batch_hint, in_words, is_out_of_memory, memory_problem

CPU = torch.device("cpu")
CUDA_WORDS = "CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 3.00 GiB is free."


def caught(act) -> BaseException:
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        act()
    return raised.value


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (lambda: caught(lambda: torch.empty(2**48)), "1.0 PiB"),
        (lambda: caught(lambda: np.empty(2**57)), "1.0 EiB"),
        (lambda: torch.OutOfMemoryError(CUDA_WORDS), "20.5 GiB"),
        (lambda: MemoryError(), None),
    ],
    ids=["torch", "numpy", "cuda", "python"],
)
def test_every_way_of_saying_it_is_understood(error, needed):
    error = error()
    assert is_out_of_memory(error)
    told = str(memory_problem("it stopped", error, CPU, "do this"))
    more = f"{needed} more were needed at once, " if needed else ""
    assert told.startswith(f"it stopped: out of memory ({more}") and told.endswith(" are available); do this")


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("not enough memory")])
def test_another_error_is_no_lack_of_memory(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**31, "2.0 GiB")]
)
def test_a_number_of_bytes_is_told_in_its_unit(size, words):
    assert in_words(size) == words


@pytest.mark.parametrize(
    ("fits", "hint"), [(16, "set batch_size=16, which fits"), (1, "set batch_size=1,"), (0, "not even one")]
)
def test_batches_are_halved_until_one_fits(fits, hint):
    tried = []

    def attempt(size):
        tried.append(size)
        if size > fits:
            raise MemoryError

    assert batch_hint(64, attempt).startswith(hint)
    assert tried == [size for size in (32, 16, 8, 4, 2, 1) if size >= max(fits, 1)]


def test_what_breaks_otherwise_while_a_batch_is_tried_is_not_hidden():
    def attempt(size):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        batch_hint(64, attempt)
