"""Folders of images: what people have on their disks, and what is said about it."""

import os
import warnings

import numpy as np
import PIL.Image
import pytest

from lossmith.datasets import ArrayImages, ImageFormat, load, read_image
from lossmith.datasets.folder import FolderImages

pytestmark = pytest.mark.backend_free

LAZY = 0  # memory limit


def pixels(height=6, width=5, channels=1, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path, values=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels() if values is None else values).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three grey images."""
    root = tmp_path / "pets"
    for seed, name in enumerate(["cat/b.png", "cat/a.png", "cat/c.png", "dog/1.png", "dog/2.png"]):
        save(root / name, pixels(seed=seed))
    save(root / "dog" / "3.bmp", pixels(seed=9))
    return root


def load_quietly(root, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load(root, **options)


@pytest.mark.parametrize(("limit", "kind"), [(2**20, ArrayImages), (LAZY, FolderImages)])
def test_reads_classes_by_name_in_a_fixed_order(folder, limit, kind):
    data = load(folder, memory_limit=limit)
    assert isinstance(data.images, kind)
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [data.images.name(i) for i in range(6)] == [
        f"cat{os.sep}a.png",
        f"cat{os.sep}b.png",
        f"cat{os.sep}c.png",
        f"dog{os.sep}1.png",
        f"dog{os.sep}2.png",
        f"dog{os.sep}3.bmp",
    ]
    expected = np.stack([pixels(seed=seed) for seed in (1, 0, 2, 3, 4, 9)])[..., None] / 255
    np.testing.assert_allclose(data.images[:], expected, rtol=1e-6)
    assert data.images[np.array([5, 0])].dtype == np.float32
    np.testing.assert_allclose(data.images[np.array([5, 0])], expected[[5, 0]], rtol=1e-6)
    assert data.images[2].shape == data.images.shape == (6, 5, 1)
    assert data.images[np.array([], int)].shape == (0, 6, 5, 1)
    assert data.notes == ()


def test_splits_of_lazy_folders_are_lazy(folder):
    train, validation, _ = load(folder, memory_limit=LAZY).split((0.7, 0.3, 0.0))
    assert sorted(
        part.images.name(i) for part in (train, validation) for i in range(len(part))
    ) == [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.*"))]


class TestSizesAndColours:
    def test_the_most_common_size_wins_and_the_rest_is_resized(self, folder):
        smooth = np.repeat(np.linspace(0, 250, 24).astype(np.uint8)[:, None], 20, axis=1)
        save(folder / "cat" / "large.png", smooth)
        data = load(folder)
        assert data.images.shape == (6, 5, 1)
        assert "1 of 7 images have another size than 6 x 5" in data.notes[0]
        bands = smooth.reshape(6, 4, 5, 4).mean(axis=(1, 3)) / 255
        np.testing.assert_allclose(data.images[3][..., 0], bands, atol=0.03)

    def test_shrinking_averages_instead_of_dropping_pixels(self, folder):
        stripes = np.tile(np.array([[0, 255]], np.uint8), (60, 25))
        save(folder / "cat" / "stripes.png", stripes)
        data = load(folder)
        np.testing.assert_allclose(data.images[3], 0.5, atol=0.08)

    def test_a_size_can_be_asked_for(self, folder):
        data = load(folder, image_size=(3, 4))
        assert data.image_format == ImageFormat(3, 4, 1)
        assert "the size wanted" in data.notes[0]

    @pytest.mark.parametrize("size", [64, (64,), (8, 8, 3), (0, 8), (8.0, 8)])
    def test_a_size_that_is_none_is_refused(self, folder, size):
        with pytest.raises(ValueError, match=r"height.*got"):
            load(folder, image_size=size)

    def test_a_grey_image_among_colours_is_read_as_rgb(self, tmp_path):
        for name in ("a/1.png", "a/2.png", "b/1.png"):
            save(tmp_path / name, pixels(channels=3))
        save(tmp_path / "b" / "2.png", pixels())
        data = load(tmp_path)
        assert data.images.shape == (6, 5, 3)
        np.testing.assert_allclose(
            data.images[3], pixels()[..., None] / 255 * np.ones(3), rtol=1e-6
        )
        assert "1 of 4 images are grey and read as RGB." in data.notes

    @pytest.mark.parametrize(("channels", "said"), [(1, "3 of 4 images have colours"), (3, "1 of")])
    def test_the_colour_mode_can_be_asked_for(self, tmp_path, channels, said):
        for name in ("a/1.png", "a/2.png", "b/1.png"):
            save(tmp_path / name, pixels(channels=3))
        save(tmp_path / "b" / "2.png", pixels())
        data = load(tmp_path, channels=channels)
        assert data.images.shape == (6, 5, channels)
        assert said in " ".join(data.notes)

    def test_a_colour_mode_that_is_none_is_refused(self, folder):
        with pytest.raises(ValueError, match=r"1 \(grey\) or 3 \(RGB\); got 4"):
            load(folder, channels=4)
        with pytest.raises(ValueError, match=r"`channels` brings.*Leave it out for 'mnist5k'"):
            load("mnist5k", channels=3)

    def test_exif_orientation_is_applied_to_size_and_pixels(self, tmp_path):
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        lying = np.rot90(pixels(), k=1)
        for name in ("a/1.png", "a/2.png", "b/1.png"):
            save(tmp_path / name)
        save(tmp_path / "b" / "2.png", np.ascontiguousarray(lying), exif=exif)
        data = load(tmp_path)
        assert data.notes == ()
        np.testing.assert_array_equal(data.images[3], data.images[0])


class TestModes:
    GREY, COLOUR = ImageFormat(6, 5, 1), ImageFormat(6, 5, 3)

    def test_sixteen_bits_keep_their_depth(self, tmp_path):
        deep = np.random.default_rng(0).integers(0, 65536, (6, 5), dtype=np.uint16)
        for suffix in ("png", "tif", "pgm"):
            path = tmp_path / f"deep.{suffix}"
            PIL.Image.fromarray(deep).save(path)
            np.testing.assert_allclose(read_image(path, self.GREY)[..., 0], deep / 65535, atol=1e-6)

    def test_a_folder_of_sixteen_bit_images_keeps_their_depth(self, tmp_path):
        deep = np.full((6, 5), 300, np.uint16)
        for name in ("a/1.png", "b/1.png"):
            save(tmp_path / name, deep)
        np.testing.assert_allclose(load(tmp_path).images[:], 300 / 65535, rtol=1e-5)

    def test_floats_in_zero_to_one_are_taken_as_they_are(self, tmp_path):
        values = np.random.default_rng(0).random((6, 5), dtype=np.float32)
        save(tmp_path / "float.tif", values)
        np.testing.assert_allclose(read_image(tmp_path / "float.tif", self.GREY)[..., 0], values)

    @pytest.mark.parametrize("bad", [-0.5, 300.0, np.nan])
    def test_floats_of_an_unknown_range_are_refused(self, tmp_path, bad):
        values = np.zeros((6, 5), np.float32)
        values[2, 2] = bad
        save(tmp_path / "float.tif", values)
        with pytest.raises(ValueError, match=r"float\.tif cannot be decoded.*\[0, 255\]"):
            read_image(tmp_path / "float.tif", self.GREY)

    def test_transparency_lies_over_white(self, tmp_path):
        values = pixels(channels=4)
        save(tmp_path / "alpha.png", values)
        alpha = values[..., 3:] / 255
        expected = values[..., :3] / 255 * alpha + 1 - alpha
        np.testing.assert_allclose(
            read_image(tmp_path / "alpha.png", self.COLOUR), expected, atol=1 / 255
        )

    def test_palettes_give_their_colours_and_transparency(self, tmp_path):
        image = PIL.Image.new("P", (5, 6), color=1)
        image.putpalette([0, 0, 0, 255, 0, 51])
        image.putpixel((0, 0), 0)
        image.save(tmp_path / "palette.png", transparency=0)
        read = read_image(tmp_path / "palette.png", self.COLOUR)
        np.testing.assert_allclose(read[1, 1], [1, 0, 0.2], rtol=1e-6)
        np.testing.assert_allclose(read[0, 0], 1.0)

    def test_one_bit_is_black_and_white(self, tmp_path):
        PIL.Image.fromarray(pixels() > 127).save(tmp_path / "bits.png")
        np.testing.assert_array_equal(
            read_image(tmp_path / "bits.png", self.GREY)[..., 0], pixels() > 127
        )

    def test_cmyk_becomes_rgb(self, tmp_path):
        PIL.Image.new("CMYK", (5, 6), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
        read = read_image(tmp_path / "ink.jpg", self.COLOUR)
        np.testing.assert_allclose(read[3, 3], [1, 0, 0], atol=0.05)

    def test_the_first_frame_of_an_animation_is_read(self, tmp_path):
        frames = [PIL.Image.new("L", (5, 6), grey) for grey in (255, 0)]
        frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
        np.testing.assert_array_equal(read_image(tmp_path / "moving.gif", self.GREY), 1.0)


class TestThingsThatGoWrong:
    def test_a_pillow_without_some_decoder_reads_the_rest(self, folder, monkeypatch):
        PIL.Image.init()
        monkeypatch.delitem(PIL.Image.OPEN, "AVIF", raising=False)
        assert len(load(folder)) == 6

    def test_one_class_is_refused(self, tmp_path):
        save(tmp_path / "only" / "1.png")
        with pytest.raises(ValueError, match=r"two classes or more; .* has one only: only"):
            load(tmp_path)

    def test_images_without_class_folders_are_refused_and_named(self, tmp_path):
        save(tmp_path / "1.png")
        with pytest.raises(ValueError, match=r"has none|outside the class folders.*1 \(1\.png\)"):
            load(tmp_path)

    def test_an_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="has none"):
            load(tmp_path)

    def test_an_empty_class_is_left_out_and_said(self, folder):
        (folder / "bird").mkdir()
        with pytest.warns(UserWarning, match=r"without a readable image, left out: 1 \(bird\)"):
            data = load(folder)
        assert data.class_names == ("cat", "dog")
        assert "bird" in data.notes[0]

    def test_broken_images_are_left_out_and_listed(self, folder):
        (folder / "cat" / "bad.png").write_bytes(b"not a png")
        (folder / "cat" / "empty.jpg").write_bytes(b"")
        with pytest.warns(UserWarning, match=r"cannot be read, left out: 2 .*bad\.png.*empty\.jpg"):
            data = load(folder)
        assert len(data) == 6

    @pytest.fixture
    def truncated(self, folder):
        path = folder / "cat" / "cut.png"
        save(path, pixels(seed=5))
        path.write_bytes(path.read_bytes()[:60])
        return path

    def test_a_truncated_image_is_left_out_where_it_can_be_known(self, folder, truncated):
        with pytest.warns(UserWarning, match=r"left out: 1 .*cut\.png"):
            data = load(folder)
        assert len(data) == 6
        assert data.images.name(3) == f"dog{os.sep}1.png"

    def test_a_truncated_image_found_later_is_named(self, folder, truncated):
        data = load(folder, memory_limit=LAZY)
        with pytest.raises(ValueError, match=r"cut\.png cannot be decoded: .*Repair the file"):
            data.images[:]

    def test_an_image_that_has_gone_is_named(self, folder):
        data = load(folder, memory_limit=LAZY)
        (folder / "dog" / "2.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"2\.png"):
            data.images[[4]]

    def test_a_class_of_broken_images_only_is_no_class(self, tmp_path):
        save(tmp_path / "a" / "1.png")
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "1.png").write_bytes(b"no")
        with pytest.raises(ValueError, match=r"one only: a"):
            load_quietly(tmp_path)

    def test_a_decompression_bomb_is_not_decoded(self, folder, monkeypatch):
        save(folder / "cat" / "bomb.png", np.zeros((400, 400), np.uint8))
        monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)
        with pytest.warns(UserWarning, match=r"bomb\.png: .*decompression bomb"):
            data = load(folder)
        assert len(data) == 6

    def test_a_disguised_postscript_file_is_not_run(self, folder):
        (folder / "cat" / "run.png").write_bytes(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
        )
        with pytest.warns(UserWarning, match=r"run\.png"):
            assert len(load(folder)) == 6

    def test_other_files_are_left_alone_and_said(self, folder):
        save(folder / "loose.png")
        (folder / "README.txt").write_text("pets")
        (folder / "cat" / "Thumbs.db").write_text("")
        (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
        for hidden in (folder / ".DS_Store", folder / "cat" / "._a.png"):
            hidden.write_text("hidden")
        save(folder / ".cache" / "x.png")
        data = load(folder)
        assert len(data) == 6
        assert data.notes == (
            "Images outside the class folders, left out: 1 (loose.png).",
            "Files outside the class folders, left alone: 1 (README.txt).",
            f"Files that are no images, left alone: 2 (cat{os.sep}Thumbs.db, cat{os.sep}gone.png).",
        )

    def test_deeper_folders_belong_to_their_class_and_loops_end(self, folder):
        save(folder / "cat" / "kitten" / "k.png")
        (folder / "loop").symlink_to(folder)
        (folder / "cat" / "loop").symlink_to(folder / "cat")
        data = load(folder)
        assert np.bincount(data.labels).tolist() == [4, 3]
        assert data.notes == ("Links back to the folder itself, left out: 1 (loop).",)

    def test_a_class_folder_may_be_a_link(self, folder, tmp_path):
        save(tmp_path / "elsewhere" / "1.png")
        (folder / "fox").symlink_to(tmp_path / "elsewhere")
        assert load(folder).class_names == ("cat", "dog", "fox")

    def test_a_single_image_of_a_class_is_said(self, folder):
        save(folder / "owl" / "1.png")
        assert load(folder).notes == (
            '1 class has one image only, which makes "different" pairs only: owl.',
        )

    @pytest.mark.parametrize("limit", [2**20, LAZY])
    def test_names_of_any_script_and_bytes_are_fine(self, folder, limit):
        save(folder / "köter 犬" / "ü 1.png")
        save(folder / os.fsdecode(b"caf\xe9") / "1.png")
        data = load(folder, memory_limit=limit)
        assert set(data.class_names) == {"cat", "dog", "köter 犬", "caf\ufffd"}
        assert all(data.images.name(i).encode() for i in range(len(data)))
        assert data.images[:].shape == (8, 6, 5, 1)

    def test_a_missing_image_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.png"):
            read_image(tmp_path / "none.png", ImageFormat(2, 2, 1))
