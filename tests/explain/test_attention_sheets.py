"""Many maps as one picture: every tile is its map, and a place finds its tile."""

import numpy as np
import pytest

from vitviz.explain.attention_sheets import number_tiles, tile_maps, tile_middle, tile_picture


def test_every_tile_of_the_sheet_is_its_map():
    maps = np.random.default_rng(0).random((3, 4, 5, 6)).astype(np.float32)
    sheet = tile_maps(maps)
    assert sheet.shape == (15, 24) and sheet.dtype == np.float32
    for layer in range(3):
        for head in range(4):
            assert np.array_equal(sheet[5 * layer : 5 * layer + 5, 6 * head : 6 * head + 6], maps[layer, head])


def test_a_head_that_is_not_there_is_zero():
    maps = np.full((1, 2, 2, 2), np.nan, np.float32)
    maps[0, 0] = 1
    assert np.array_equal(tile_maps(maps), [[1, 1, 0, 0], [1, 1, 0, 0]])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 3), (24, 16)])
def test_the_picture_is_repeated_whole_and_the_sheet_stays_small(rows, columns):
    picture = np.random.default_rng(1).integers(0, 256, (96, 64, 3), np.uint8)
    sheet = tile_picture(picture, rows, columns)
    height, width = sheet.shape[0] // rows, sheet.shape[1] // columns
    assert sheet.shape == (rows * height, columns * width, 3) and max(sheet.shape) <= 1152 + max(rows, columns)
    for row in range(rows):
        for column in range(columns):
            tile = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
            assert np.array_equal(tile, sheet[:height, :width])


def test_a_small_sheet_shows_the_pixels_themselves():
    picture = np.random.default_rng(2).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(tile_picture(picture, 2, 3)[32:, 64:], picture)


def test_the_middle_of_a_tile_lies_in_it():
    tiles = number_tiles(5, 7)
    for row in range(5):
        for column in range(7):
            x, y = tile_middle(row, column, 5, 7)
            assert tiles[int(y * 5), int(x * 7)] == 7 * row + column
