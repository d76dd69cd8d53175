"""The contact sheet: where each picture lies, and what is clear."""

import numpy as np
import pytest

from vitviz.explain.sheets import contact_sheet


def _shades(count: int, side: int = 2) -> np.ndarray:
    return (np.arange(count, dtype=np.uint8) * 10 + 1)[:, None, None, None].repeat(side, 1).repeat(side, 2).repeat(3, 3)


def test_pictures_stand_in_rows_with_clear_gaps_between_them():
    sheet = contact_sheet(_shades(5), columns=3, cell=4, gap=2)
    assert sheet.shape == (4 + 2 + 4, 3 * 4 + 2 * 2, 4)
    assert sheet.dtype == np.uint8
    for index in range(5):
        top, left = index // 3 * 6, index % 3 * 6
        assert (sheet[top : top + 4, left : left + 4] == [*[index * 10 + 1] * 3, 255]).all()
    assert (sheet[..., 3] == 255).sum() == 5 * 16
    assert (sheet[4:6] == 0).all()
    assert (sheet[6:, 12:] == 0).all()


@pytest.mark.parametrize(("side", "cell", "drawn"), [(8, 64, 64), (10, 64, 60), (100, 64, 100)])
def test_a_picture_is_enlarged_by_whole_steps_and_never_shrunk(side, cell, drawn):
    assert contact_sheet(_shades(1, side), columns=1, cell=cell).shape == (drawn, drawn, 4)


def test_no_picture_gives_one_clear_pixel():
    assert contact_sheet(_shades(0), columns=4).tolist() == [[[0, 0, 0, 0]]]
