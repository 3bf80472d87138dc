"""Image folders, plain and inside a .zip: what is found, how it is numbered, what is refused."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rl_abn.files.images import decode
from rl_abn.vision.data import HeldPictures, StoredPictures, open_labelled, pictures, splits_of
from tests.complaints import complaint

CLASSES = ("cat", "dog", "owl")


def picture(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    """RGB, uint8 [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """ROOT/train with 3 classes of 2, 3 and 4 pictures and ROOT/test with one of each."""
    root = tmp_path / "animals"
    for number, name in enumerate(CLASSES):
        for i in range(number + 2):
            write(root / "train" / name / f"{i}.png", picture(10 * number + i))
        write(root / "test" / name / "0.png", picture(100 + number))
    return root


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_and_classes_come_in_the_order_of_their_names(animals: Path, form: str) -> None:
    path = animals if form == "folder" else zipped(animals)
    train = open_labelled(path)
    assert train.class_names == CLASSES
    assert train.targets.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert train.names[2].endswith("train/dog/0.png")
    assert not train.has_attributes
    assert (len(train.pictures), train.pictures.size) == (9, (8, 8))
    shown = train.pictures.read(torch.tensor([8, 0, 2]))
    assert shown.dtype == torch.uint8
    assert shown.is_contiguous(memory_format=torch.channels_last)
    for got, seed in zip(shown, (23, 0, 10), strict=True):
        assert np.array_equal(got.permute(1, 2, 0).numpy(), picture(seed))
    assert splits_of(path) == ("train", "test")
    assert open_labelled(path, split="test").targets.tolist() == [0, 1, 2]


def test_pictures_on_disk_are_the_same_as_in_memory(animals: Path) -> None:
    held = open_labelled(animals, size=(6, 5))
    stored = open_labelled(animals, size=(6, 5), memory_limit=9 * 6 * 5 * 3 - 1)
    assert isinstance(held.pictures, HeldPictures)
    assert isinstance(stored.pictures, StoredPictures)
    assert len(stored.pictures) == 9
    for indices in ([0], [8, 3, 3, 1], list(range(9))):
        expected = held.pictures.read(torch.tensor(indices))
        got = stored.pictures.read(torch.tensor(indices))
        assert torch.equal(got, expected)
        assert got.shape == (len(indices), 3, 6, 5)
        assert got.is_contiguous(memory_format=torch.channels_last)
    assert stored.pictures.read(torch.tensor([], dtype=torch.long)).shape == (0, 3, 6, 5)
    exactly = open_labelled(animals, size=(6, 5), memory_limit=9 * 6 * 5 * 3)
    assert isinstance(exactly.pictures, HeldPictures)


def test_some_pictures_are_held_and_the_others_decoded_when_they_are_read(
    animals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_labelled(animals, size=(6, 5)).pictures.read(torch.arange(9))
    decoded, decode = [], pictures.PictureFiles.decode

    def counted(files: pictures.PictureFiles, index: int) -> np.ndarray:
        decoded.append(index)
        return decode(files, index)

    monkeypatch.setattr(pictures.PictureFiles, "decode", counted)
    later = open_labelled(animals, size=(6, 5), hold=False).pictures
    assert decoded == [0]  # for their size
    some = later.in_memory(torch.tensor([7, 2, 4]))
    assert sorted(decoded) == [0, 2, 4, 7]
    assert (len(some), some.size) == (9, (6, 5))
    assert torch.equal(some.read(torch.tensor([2, 7, 7])), expected[[2, 7, 7]])
    assert sorted(decoded) == [0, 2, 4, 7]
    assert torch.equal(some.read(torch.tensor([8, 2])), expected[[8, 2]])
    assert sorted(decoded) == [0, 2, 2, 4, 7, 8]
    # Too many stay on disk.
    least = open_labelled(animals, size=(6, 5), hold=False, memory_limit=2 * 6 * 5 * 3).pictures
    assert isinstance(least.in_memory(torch.tensor([7, 2, 4])), StoredPictures)
    assert isinstance(least.in_memory(torch.tensor([7, 2])), pictures.PartlyHeldPictures)
    every = some.in_memory()
    assert isinstance(every, HeldPictures)
    assert every.in_memory() is every
    assert torch.equal(every.read(torch.arange(9)), expected)


def test_a_set_without_splits_is_all_train(tmp_path: Path) -> None:
    root = tmp_path / "outer" / "set"
    write(root / "b" / "deep" / "0.PNG", picture(0))
    write(root / "a" / "1.png", np.full((8, 8, 3), 7, np.uint8))
    write(root / "a" / ".hidden.png", picture(1))
    (root / "a" / "notes.txt").write_text("no picture")
    for path in (root, tmp_path / "outer", zipped(root)):
        assert splits_of(path) == ("train",)
        labelled = open_labelled(path)
        assert labelled.class_names == ("a", "b")
        assert labelled.targets.tolist() == [0, 1]
        assert (labelled.pictures.read(torch.tensor([0])) == 7).all()


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    for name in ("train", "ship"):
        write(tmp_path / "set" / name / "0.png", picture(0))
    assert open_labelled(tmp_path / "set").class_names == ("ship", "train")


def test_a_validation_split_may_have_another_name(animals: Path) -> None:
    (animals / "test").rename(animals / "Validation")
    assert splits_of(animals) == ("train", "val")
    assert len(open_labelled(animals, split="val").names) == 3


def test_classes_are_numbered_as_in_train_where_a_split_lacks_one(animals: Path) -> None:
    shutil.rmtree(animals / "test" / "cat")
    test = open_labelled(animals, split="test")
    assert test.class_names == CLASSES
    assert test.targets.tolist() == [1, 2]


def test_grey_pictures_and_those_with_transparency_become_rgb(tmp_path: Path) -> None:
    for name, array in (("a", np.full((4, 4), 90)), ("b", np.full((4, 4, 4), 90))):
        (tmp_path / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / name / "0.png"), array.astype(np.uint8))
    shown = open_labelled(tmp_path / "set").pictures.read(torch.arange(2))
    assert (shown == 90).all()


def test_many_pictures_are_loaded_in_order_with_a_line_of_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "_CHUNK", 3)
    monkeypatch.setattr(pictures, "_SHOWN_FROM", 20)
    for name in ("a", "b"):
        for i in range(10):
            grey = i + 10 * (name == "b")
            write(tmp_path / "set" / name / f"{i}.png", np.full((4, 4, 3), grey, np.uint8))
    shown = open_labelled(tmp_path / "set").pictures.read(torch.arange(20))
    assert shown[:, 0, 0, 0].tolist() == list(range(20))
    assert "loading pictures: 20/20 pictures" in capsys.readouterr().err


# Framing


def test_the_short_side_is_resized_and_the_centre_cut_out(tmp_path: Path) -> None:
    wide = np.zeros((8, 32, 3), np.uint8)
    wide[:, 12:20] = 200  # the middle square
    for name in ("a", "b"):
        write(tmp_path / "set" / name / "0.png", wide)
    shown = open_labelled(tmp_path / "set", size=4).pictures.read(torch.arange(2))
    assert shown.shape == (2, 3, 4, 4)
    assert (shown == 200).all()
    seen = open_labelled(tmp_path / "set", size=(4, 6)).pictures.read(torch.arange(1))
    assert seen[0, 0].tolist() == [[0, 200, 200, 200, 200, 0]] * 4
    # To 8 rows first, so that what is cut out is half the height.
    shown = open_labelled(tmp_path / "set", size=4, short_side=8).pictures.read(torch.arange(1))
    assert (shown == 200).all()


def test_a_smaller_picture_is_an_average(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "set" / name / "0.png", picture(5, 8, 8))
    shown = open_labelled(tmp_path / "set", size=2).pictures.read(torch.arange(1))[0]
    means = picture(5).reshape(2, 4, 2, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(shown.numpy() - means).max() <= 0.5


def test_pictures_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a" / "0.png", picture(0, 8, 8))
    write(tmp_path / "set" / "b" / "0.png", picture(0, 9, 12))
    message = complaint(lambda: open_labelled(tmp_path / "set"))
    assert message.endswith(
        "set/b/0.png: expected all pictures 8×8 as the first, got 12×9; "
        "give a size to bring them to"
    )
    assert open_labelled(tmp_path / "set", size=8).pictures.size == (8, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "expected a size of 1 to 4096 pixels a side, got (0, 0)"),
        (
            {"size": 8, "short_side": 7},
            "expected a short_side of 8 to 4096 for that size, got 7",
        ),
        ({"short_side": 7}, "expected a short_side of 1 to 4096 and a size, got 7"),
        ({"split": "tset"}, "unknown split 'tset': did you mean 'test'?"),
    ],
)
def test_settings_that_make_no_sense(animals: Path, settings: dict, message: str) -> None:
    assert complaint(lambda: open_labelled(animals, **settings)) == message


# Mistakes


@pytest.mark.parametrize("memory_limit", [2**30, 0])
def test_a_damaged_picture_is_named(animals: Path, memory_limit: int) -> None:
    path = animals / "train" / "dog" / "1.png"
    for content, got in (
        (path.read_bytes()[:-30], "a damaged or cut-off one"),
        (b"GIF89a, or what", "a damaged or cut-off one"),
        (b"", "an empty file"),
    ):
        path.write_bytes(content)

        def read() -> None:
            labelled = open_labelled(animals, memory_limit=memory_limit)
            labelled.pictures.read(torch.arange(9))

        assert complaint(read) == f"{path}: expected a picture, got {got}"


def test_a_cut_off_jpeg_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "set" / name / "0.jpg", picture(0, 32, 32))
    path = tmp_path / "set" / "b" / "0.jpg"
    path.write_bytes(path.read_bytes()[:400])
    message = complaint(lambda: open_labelled(tmp_path / "set"))
    assert message == f"{path}: expected a picture, got a damaged or cut-off one"


def test_a_picture_that_claims_to_be_huge_is_not_decoded(animals: Path) -> None:
    """A PNG of a few bytes that says it has 9,000 by 9,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 9_000, 9_000, 8, 2, 0, 0, 0))
    path = animals / "train" / "cat" / "0.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )
    message = complaint(lambda: open_labelled(animals))
    assert message == (f"{path}: expected a picture of at most 67,108,864 pixels, got 9000×9000")


def test_an_empty_class(animals: Path) -> None:
    for file in (animals / "train" / "owl").iterdir():
        file.unlink()
    for path in (animals, zipped(animals)):
        message = complaint(lambda path=path: open_labelled(path))
        assert message.endswith("train/owl: expected a folder of pictures, got none in it")


def test_one_class_alone_and_none(tmp_path: Path) -> None:
    write(tmp_path / "one" / "cat" / "0.png", picture(0))
    message = complaint(lambda: open_labelled(tmp_path / "one"))
    assert message == f"{tmp_path}/one: expected two classes or more, got one, 'cat'"
    write(tmp_path / "flat" / "0.png", picture(0))
    message = complaint(lambda: open_labelled(tmp_path / "flat"))
    assert message.endswith("expected folders of pictures, one a class, got no folder at all")


def test_a_split_that_there_is_not(animals: Path) -> None:
    message = complaint(lambda: open_labelled(animals, split="val"))
    assert message == f"{animals}: expected a split 'val', got a set with train, test"


def test_a_class_that_train_does_not_have(animals: Path) -> None:
    (animals / "test" / "owl").rename(animals / "test" / "owls")
    message = complaint(lambda: open_labelled(animals, split="test"))
    assert message.endswith("expected the classes of train, got 'owls': did you mean 'owl'?")


def test_a_path_that_does_not_exist(animals: Path) -> None:
    message = complaint(lambda: open_labelled(animals.with_name("anmals")))
    assert message.endswith("anmals': did you mean 'animals'?")
    message = complaint(lambda: open_labelled(animals / "a" / "b"))
    assert message.endswith("there is no such file or folder")


def test_links_are_followed_and_do_not_lead_round(animals: Path) -> None:
    target = animals.with_name("elsewhere")
    (animals / "train" / "dog").rename(target)
    (animals / "train" / "dog").symlink_to(target)
    (target / "round").symlink_to(target)
    assert open_labelled(animals).targets.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]


# Zips


def hostile(path: Path, name: str, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/a/0.png", b"x")
        archive.writestr(zipfile.ZipInfo(name), content)
    return path


@pytest.mark.parametrize(
    "name",
    ["../up.png", "set/../../up.png", "/etc/a.png", "C:/a.png", "..\\up.png", "a/\x1b[2J.png"],
)
def test_a_member_with_a_hostile_path(tmp_path: Path, name: str) -> None:
    message = complaint(lambda: open_labelled(hostile(tmp_path / "set.zip", name)))
    assert "expected members that stay inside the .zip, got" in message
    assert message.isprintable()
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.zip"]


def test_a_member_of_an_absurd_size_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/a/0.png", bytes(64 * 2**20 + 1))
        archive.writestr("set/b/0.png", b"x")
    message = complaint(lambda: open_labelled(path))
    assert message == (
        f"{path}/set/a/0.png: cannot be read: it has 67,108,865 bytes, more than 67,108,864"
    )


def test_a_member_that_is_larger_than_it_says(tmp_path: Path) -> None:
    """Sizes of members are claims; what is unpacked stays within them."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.png", bytes(10_000_000))
        archive.writestr("b/0.png", b"x")
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 1_000)))
    message = complaint(lambda: open_labelled(path))
    assert message.startswith(f"{path}/a/0.png: cannot be read: Bad CRC-32")


def test_a_damaged_member(animals: Path) -> None:
    path = zipped(animals)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("animals/train/dog/1.png")
    data = bytearray(path.read_bytes())
    data[member.header_offset + 30 + len(member.filename) + 60] ^= 0xFF
    path.write_bytes(data)
    message = complaint(lambda: open_labelled(path))
    assert message.startswith(f"{path}/animals/train/dog/1.png: cannot be read: ")


def test_another_compression_and_a_password(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/0.png", b"x" * 100)
        archive.writestr("b/0.png", b"x" * 100)
    message = complaint(lambda: open_labelled(path))
    assert "expected a member stored or deflated, got another compression" in message
    hostile(path, "set/b/0.png")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0"))
    assert "is encrypted" in complaint(lambda: open_labelled(path))


def test_a_zip_that_is_no_zip(tmp_path: Path, animals: Path) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(b"not at all")
    message = complaint(lambda: open_labelled(path))
    assert message == f"{path}: expected a folder or a .zip, got a file that is no zip"
    whole = zipped(animals)
    whole.write_bytes(whole.read_bytes()[:-40])
    assert "got a file that is no zip" in complaint(lambda: open_labelled(whole))
    path = tmp_path / "set.tar.gz"
    path.write_bytes(b"\x1f\x8b")
    assert complaint(lambda: open_labelled(path)).endswith("no zip; unpack it first")


def test_what_macos_leaves_in_a_zip_is_no_picture(animals: Path) -> None:
    path = zipped(animals)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/animals/train/cat/._0.png", b"x")
        archive.writestr("animals/train/cat/._0.png", b"x")
        archive.writestr(".DS_Store", b"x")
    assert len(open_labelled(path).names) == 9


def test_a_zip_with_backslashes(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    ok, data = cv2.imencode(".png", picture(0))
    assert ok
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("set\\a\\0.png", "set\\b\\0.png"):
            archive.writestr(zipfile.ZipInfo(name), data.tobytes())
    assert open_labelled(path).class_names == ("a", "b")


def test_a_damaged_png_is_one_error_and_no_line_of_the_decoder(
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = cv2.imencode(".png", picture(0, 16, 16))[1].tobytes()
    for at in [*range(8, len(data) - 16, 7), *range(len(data) - 16, len(data) - 4)]:
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]):
            with pytest.raises(ValueError, match="expected a picture"):
                decode(damaged)
    for cut in range(1, 5):
        with pytest.raises(ValueError, match="expected a picture"):
            decode(data[:-cut])
    assert decode(data).shape == decode(data + b"more").shape == (16, 16, 3)
    assert capfd.readouterr() == ("", "")


def test_names_that_are_not_utf_8_are_counted(
    animals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_labelled(animals).names
    for i in range(2):
        name = os.fsdecode(b"caf\xe9%d.png" % i)
        write(animals / f"{i}.png", picture(i))
        (animals / f"{i}.png").rename(animals / "train" / "cat" / name)
    assert open_labelled(animals).names == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "animals: 2 names are not UTF-8 and skipped: 'train/cat/caf\\udce90.png'" in said
