"""Images are read from real files of every format, made here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cosmos_robot.datasets.images import read_image, write_image, write_png
from cosmos_robot.errors import MediaError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def picture(height=20, width=32):
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 12, columns * 7, np.full_like(rows, 90)], axis=-1).astype(np.uint8)


def test_png_is_exact(tmp_path):
    write_png(tmp_path / "a.png", picture())
    assert np.array_equal(read_image(tmp_path / "a.png"), picture())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 98}), ("webp", {"quality": 98})])
def test_jpg_and_webp(tmp_path, suffix, options):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path, **options)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (20, 32, 3)
    assert np.abs(image.astype(int) - picture()).mean() < 4


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to show
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(picture(), k=-1))


def test_alpha_is_dropped_and_the_colours_under_it_stay(tmp_path):
    alpha = np.zeros((20, 32, 1), np.uint8)
    Image.fromarray(np.concatenate([picture(), alpha], axis=-1), "RGBA").save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), picture())


def test_grey_is_repeated(tmp_path):
    Image.fromarray(picture()[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.repeat(picture()[..., :1], 3, axis=-1))


def test_sixteen_bits_are_refused_instead_of_clipped(tmp_path):
    Image.fromarray(np.full((20, 32), 3000, np.uint16)).save(tmp_path / "depth.png")
    with pytest.raises(MediaError, match=r"depth\.png has pixels of mode .*8 bits a channel"):
        read_image(tmp_path / "depth.png")


def test_a_missing_file(tmp_path):
    with pytest.raises(MediaError, match=r"there is no image .*a\.png"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"GIF89a" + bytes(100)])
def test_an_empty_or_foreign_file(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.png is not a png, jpg or webp image"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_truncated_file(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{suffix}")
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaError, match="cut"):
        read_image(tmp_path / f"cut.{suffix}")


@pytest.mark.parametrize("side", [8_000, 20_000])  # above our limit, above Pillow's own
def test_a_decompression_bomb(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match=r"bomb\.png is too large"):
        read_image(tmp_path / "bomb.png")


def test_too_small(tmp_path):
    Image.fromarray(picture(8, 8)).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match=r"a\.png cannot be used: .*at least 16 pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings are not here")
def test_real_images():
    assert read_image(SHARED / "av" / "av_0.jpg").shape == (480, 832, 3)
    assert read_image(SHARED / "umi" / "umi.png").shape == (256, 256, 3)


@pytest.mark.parametrize(("suffix", "most"), [(".png", 0), (".webp", 0), (".jpg", 12), (".JPEG", 12)])
def test_written_images_read_back(tmp_path, suffix, most):
    path, ramp = tmp_path / f"a{suffix}", np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)
    write_image(path, ramp)
    assert np.abs(read_image(path).astype(int) - ramp).max() <= most


def test_a_format_that_is_not_written(tmp_path):
    with pytest.raises(MediaError, match=r"\.webp; got 'a\.gif'"):
        write_image(tmp_path / "a.gif", picture())
