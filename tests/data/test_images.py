import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vitviz.data import images
from vitviz.data.images import decode_image, fit_image, image_size
from vitviz.errors import Problem


def save(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def ramp(height: int = 20, width: int = 30) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, 0 * rows + 40], -1).astype(np.uint8)


def png_header(width: int, height: int, *, depth: int = 8, kind: int = 2, rows: bytes = b"") -> bytes:
    """A PNG that claims a size, and holds no pixels unless ``rows`` are given."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_with_tiles(side: int) -> bytes:
    """A grey TIFF of 32 x 32 whose single tile is said to have a side of ``side``."""
    data = zlib.compress(bytes(side if side < 64 else 1000) * 32)
    sizes = {256: 32, 257: 32, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sizes.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(sizes)) + entries + bytes(4)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_return_the_pixels_that_were_saved(kind):
    decoded = decode_image(save(Image.fromarray(ramp()), kind, **({"lossless": True} if kind == "WEBP" else {})))
    np.testing.assert_array_equal(decoded.pixels, ramp())
    assert decoded.pixels.dtype == np.uint8
    assert decoded.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    inverse = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    stored = np.ascontiguousarray(inverse[orientation](ramp()))
    decoded = decode_image(save(Image.fromarray(stored), exif=exif))
    np.testing.assert_array_equal(decoded.pixels, ramp())
    assert decoded.notes == (() if orientation == 1 else ("turned upright (EXIF)",))


def test_transparency_is_placed_on_white():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (255, 0, 0, 255)
    rgba[2:] = (0, 0, 0, 0)
    decoded = decode_image(save(Image.fromarray(rgba)))
    assert decoded.pixels[0, 0].tolist() == [255, 0, 0]
    assert decoded.pixels[3, 0].tolist() == [255, 255, 255]
    assert decoded.notes == ("transparency placed on white",)


def test_an_opaque_alpha_channel_is_not_worth_a_note():
    assert decode_image(save(Image.fromarray(ramp()).convert("RGBA"))).notes == ()


def test_a_palette_with_a_transparent_colour_is_placed_on_white():
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1, 1, 0])
    decoded = decode_image(save(image, transparency=0))
    assert decoded.pixels[0, 0].tolist() == [255, 255, 255]
    assert decoded.pixels[0, 1].tolist() == [200, 100, 50]


def test_a_16_bit_image_is_scaled_by_its_own_range_instead_of_saturating():
    values = np.linspace(1000, 5000, 256).reshape(16, 16).astype(np.uint16)
    decoded = decode_image(save(Image.fromarray(values)))
    assert decoded.pixels.min() == 0 and decoded.pixels.max() == 255
    assert len(np.unique(decoded.pixels)) == 256
    assert decoded.notes == ("16-bit scaled by its own range",)


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_of_colours_of_16_bits_the_upper_8_are_read_and_it_is_said(kind, channels):
    values = np.linspace(0, 65535, 5 * 4 * channels).astype(">u2").reshape(5, 4, channels)
    if kind != 2:
        values[..., -1] = 65535
    content = png_header(4, 5, depth=16, kind=kind, rows=b"".join(b"\0" + row.tobytes() for row in values))
    decoded = decode_image(content)
    np.testing.assert_array_equal(decoded.pixels[..., 0], values[..., 0] >> 8)
    assert decoded.notes == ("16-bit colours read to 8 bits",)


@pytest.mark.parametrize("kind", ["float32", "int32", "uint16"])
def test_scaling_a_few_rows_at_a_time_scales_all_by_one_range(kind, monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, 30)).clip(-2, 2) * 1000 + 2000
    content, values = save(Image.fromarray(values.astype(kind)), "TIFF"), values.astype(kind).astype(np.float64)
    monkeypatch.setattr(images, "_BAND", 100)
    wanted = np.rint((values - values.min()) / (values.max() - values.min()) * 255)
    np.testing.assert_array_equal(decode_image(content).pixels[..., 1], wanted)


def test_a_floating_point_image_is_scaled_by_its_own_range():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    decoded = decode_image(save(Image.fromarray(values), "TIFF"))
    assert decoded.pixels[7, 7].tolist() == [255, 255, 255]
    assert decoded.notes == ("floating point scaled by its own range",)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_image_with_nan_or_infinity_is_refused(bad):
    values = np.ones((8, 8), np.float32)
    values[3, 3] = bad
    with pytest.raises(Problem, match=r"sky\.tif could not be read: some of its pixels are NaN"):
        decode_image(save(Image.fromarray(values), "TIFF"), name="sky.tif")


def test_cmyk_is_converted_and_said():
    decoded = decode_image(save(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = decoded.pixels[4, 4]
    assert red > 240 and green < 15 and blue < 15
    assert decoded.notes == ("CMYK converted",)


def test_grey_and_one_bit_images_get_three_equal_channels():
    for mode in ("L", "1"):
        pixels = decode_image(save(Image.fromarray(ramp()).convert(mode))).pixels
        np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_the_first_frame_of_an_animation_is_taken_and_said():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    decoded = decode_image(save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.pixels[0, 0].tolist() == [255, 0, 0]
    assert decoded.notes == ("first of 3 frames",)


@pytest.mark.parametrize(("number", "words"), [(1, ()), (3, ("first of 3 frames",)), (100, ("first of 100 frames",))])
def test_the_first_page_of_a_tiff_is_taken_and_said(number, words):
    pages = [Image.new("L", (4, 4), 200 - index) for index in range(number)]
    decoded = decode_image(save(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (decoded.pixels == 200).all() and decoded.notes == words


def test_not_all_of_a_thousand_pages_are_looked_at():
    pages = [Image.new("L", (4, 4), index % 250) for index in range(1000)]
    decoded = decode_image(save(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (decoded.pixels == 0).all() and decoded.notes == ("first of more than 100 frames",)


def test_the_longer_side_is_shrunk_to_max_side_and_small_images_stay():
    data = save(Image.fromarray(ramp(200, 300)), "JPEG")
    assert decode_image(data, max_side=60).pixels.shape == (40, 60, 3)
    assert decode_image(data, max_side=600).pixels.shape == (200, 300, 3)


def test_a_shrunk_turned_jpeg_is_turned_and_shrunk():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = save(Image.fromarray(ramp(200, 300)), "JPEG", exif=exif)
    assert decode_image(data, max_side=60).pixels.shape == (60, 40, 3)


def test_min_side_decodes_a_large_jpeg_at_a_fraction_and_nothing_else():
    pixels = Image.fromarray(ramp(320, 480))
    assert decode_image(save(pixels, "JPEG"), min_side=100).pixels.shape == (160, 240, 3)
    assert decode_image(save(pixels, "PNG"), min_side=100).pixels.shape == (320, 480, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is not a JPEG"),
        (b"hello, I am a text\n", "it is not a JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "it is not a JPEG"),
        (save(Image.fromarray(ramp()))[:-60], "ends too early"),
        (save(Image.fromarray(ramp()), "JPEG")[:-200], "ends too early"),
        (png_header(20, 20), "ends too early"),
        (save(Image.new("RGB", (1, 1))), "1 x 1 pixels"),
        (save(Image.new("RGB", (50, 1))), "50 x 1 pixels"),
        (png_header(9000, 9000), "megapixels"),
        (png_header(60000, 60000), "more pixels than are ever read"),
    ],
)
def test_what_is_no_usable_image_gets_one_sentence_with_its_name(content, reason):
    with pytest.raises(Problem, match=reason) as caught:
        decode_image(content, name="cat.png")
    assert "cat.png" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(Problem, match=r"cat\.png could not be read: there is no such file"):
        decode_image(tmp_path / "cat.png")
    with pytest.raises(Problem, match="could not be read"):
        decode_image(tmp_path)


def test_a_tiff_with_tiles_is_read_and_one_with_gigantic_tiles_refused():
    assert (decode_image(tiff_with_tiles(32)).pixels == 0).all()
    with pytest.raises(Problem, match=r"plan\.tif is too large: 40,000 x 40,000"):
        decode_image(tiff_with_tiles(40_000), name="plan.tif")


def test_max_pixels_is_checked_before_decoding():
    data = save(Image.fromarray(ramp()))
    with pytest.raises(Problem, match="too large"):
        decode_image(data, max_pixels=599)
    assert decode_image(data, max_pixels=600).pixels.shape == (20, 30, 3)


def test_mutated_images_raise_nothing_but_problems():
    random = np.random.default_rng(0)
    originals = [save(Image.fromarray(ramp()), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]
    outcomes = set()
    for number in range(300):
        data = bytearray(originals[number % len(originals)])
        for place in random.integers(0, len(data), 6):
            data[place] = random.integers(256)
        try:
            outcomes.add(decode_image(bytes(data)).pixels.dtype)
        except Problem:
            outcomes.add(Problem)
    assert outcomes == {np.dtype(np.uint8), Problem}


def test_the_size_is_read_from_the_header_alone():
    assert image_size(png_header(640, 480)) == (640, 480)
    assert image_size(b"nothing") is None


def test_crop_keeps_the_centre_pad_adds_white_and_stretch_keeps_everything():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (0, 255, 0)
    assert (fit_image(pixels, 10) == (0, 255, 0)).all()
    padded = fit_image(pixels, 30, rule="pad")
    assert (padded[0] == 255).all() and (padded[15] == pixels[5]).all()
    stretched = fit_image(pixels, 30, rule="stretch")
    assert stretched[0, 15].tolist() == [0, 255, 0] and stretched[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(2, 500, 3), (500, 2, 3), (7, 9, 3), (64, 64, 3)])
@pytest.mark.parametrize("rule", ["crop", "pad", "stretch"])
def test_fitting_always_gives_the_square_that_was_asked_for(shape, rule):
    fitted = fit_image(np.full(shape, 255, np.uint8), 32, rule=rule)
    assert fitted.shape == (32, 32, 3) and (fitted == 255).all()


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="rule='squash'"):
        fit_image(ramp(), 32, rule="squash")
