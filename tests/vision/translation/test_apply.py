"""Translating a data set: pictures change; names, tables, folders and sizes stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rl_abn.runs import WEIGHTS, read_json
from rl_abn.vision.data.driving import open_driving_log
from rl_abn.vision.data.labelled import open_labelled
from rl_abn.vision.detection.layouts import read_split
from rl_abn.vision.detection.shapes import write_shapes
from rl_abn.vision.translation.apply import load_generator, translate
from rl_abn.vision.translation.domains import layout_of, to_pixels, to_unit
from rl_abn.vision.translation.prepare import TranslationRun
from rl_abn.vision.translation.train import train
from tests.complaints import complaint
from tests.vision.tiny_sets import write_attributes, write_drive
from tests.vision.translation.tiny_domains import tiny_run, write_domains


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_domains(tmp_path_factory.mktemp("domains"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, domains: tuple[Path, Path]) -> TranslationRun:
    folder = tmp_path_factory.mktemp("translator") / "run"
    made, material, _ = tiny_run(folder, domains, None, "loss.consistency=0", "train.steps=2")
    train(made, material, resume=False)
    return made


def below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("direction", ["to_target", "to_source"])
def test_folders_keep_their_classes_and_hold_what_the_generator_says(
    tmp_path: Path, run: TranslationRun, domains: tuple[Path, Path], direction: str
) -> None:
    made = translate(run, domains[0], tmp_path / "new", direction=direction, device="cpu")
    assert made.n == 30
    assert below(made.folder) == below(domains[0]) | {"about.json"}
    old, new = (open_labelled(path) for path in (domains[0], made.folder))
    assert (new.names, new.class_names) == (old.names, old.class_names)
    assert torch.equal(new.targets, old.targets)
    generator, step = load_generator(run, direction, None, torch.device("cpu"))
    everything = torch.arange(len(old.names))
    with torch.no_grad():
        expected = to_pixels(generator(to_unit(old.pictures.read(everything))))
    apart = new.pictures.read(everything).int() - expected.int()
    assert int(apart.abs().max()) <= 1  # batches of other sizes may round otherwise
    about = read_json(made.folder / "about.json")
    assert (about["step"], about["direction"]) == (step, direction)


def test_a_driving_log_keeps_its_table_and_the_size_of_its_pictures(
    tmp_path: Path, run: TranslationRun
) -> None:
    drive = write_drive(tmp_path / "drive", n=8, side=20)
    (drive / "IMG" / "0007.png").unlink()  # left out, as it is when a network learns
    jpeg = cv2.imread(str(drive / "IMG" / "0000.png"))
    cv2.imwrite(str(drive / "IMG" / "0000.jpg"), jpeg)
    table = (drive / "driving_log.csv").read_text().replace("0000.png", "0000.jpg")
    (drive / "driving_log.csv").write_text(table)
    made = translate(run, drive / "driving_log.csv", tmp_path / "new", device="cpu")
    assert made.n == 7
    assert "1 of 8 pictures are missing" in made.notes[0]
    assert (made.folder / "driving_log.csv").read_text() == table
    old, new = open_driving_log(drive), open_driving_log(made.folder)
    assert new.names == old.names
    assert new.pictures.size == (20, 20)
    assert torch.equal(new.controls, old.controls)
    assert torch.equal(new.blocks, old.blocks)
    data = (made.folder / "IMG" / "0000.jpg").read_bytes()
    assert data.startswith(b"\xff\xd8")


def test_pictures_with_attributes_keep_their_table(tmp_path: Path, run: TranslationRun) -> None:
    faces = write_attributes(tmp_path / "faces", n=6)
    made = translate(run, faces, tmp_path / "new", device="cpu")
    old, new = open_labelled(faces), open_labelled(made.folder)
    assert torch.equal(new.targets, old.targets)
    assert new.names == old.names


def test_pictures_with_boxes_keep_their_annotations(tmp_path: Path, run: TranslationRun) -> None:
    write_shapes(tmp_path / "shapes", 3, seed=1)
    made = translate(run, tmp_path / "shapes", tmp_path / "new", device="cpu")
    assert below(made.folder) == below(tmp_path / "shapes") | {"about.json"}
    old, new = (read_split(path, "train") for path in (tmp_path / "shapes", made.folder))
    assert new.fingerprint() == old.fingerprint()
    assert new.whole_fingerprint() != old.whole_fingerprint()
    for folder in ("gtBboxCityPersons", "leftImg8bit"):
        (tmp_path / "city" / folder / "train" / "aachen").mkdir(parents=True)
    picture = tmp_path / "city" / "leftImg8bit" / "train" / "aachen" / "a_leftImg8bit.png"
    cv2.imwrite(str(picture), np.zeros((12, 12, 3), np.uint8))
    boxes = "gtBboxCityPersons/train/aachen/a_gtBboxCityPersons.json"
    (tmp_path / "city" / boxes).write_text("{}")
    assert layout_of(tmp_path / "city").tables == (boxes,)


def test_a_table_that_cannot_be_read_is_named_and_not_left_out(
    tmp_path: Path, run: TranslationRun
) -> None:
    faces = write_attributes(tmp_path / "faces", n=6)
    (faces / "img" / "0003.png").unlink()
    said = complaint(lambda: translate(run, faces, tmp_path / "new", device="cpu"))
    assert "expected a picture for every row, got 1 rows without one: 0003.png" in said


def test_pictures_without_any_label_will_do(tmp_path: Path, run: TranslationRun) -> None:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "more/c.png"):
        cv2.imwrite(str(photos / name), np.full((12, 12, 3), 99, np.uint8))
    (photos / "notes.txt").write_text("mine")
    assert layout_of(photos)[1:] == (("a.jpg", "b.png", "more/c.png"), (), ())
    made = translate(run, photos, tmp_path / "new", device="cpu")
    assert below(made.folder) == {"a.jpg", "b.png", "more/c.png", "about.json"}
    material = tiny_run(tmp_path / "run", (photos, photos), None, "loss.consistency=0")[1]
    assert (material.source.known.n, material.target.stored) == (3, (12, 12))


def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, run: TranslationRun, domains: tuple[Path, Path]
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes").write_text("mine")
    assert "which exists" in complaint(lambda: translate(run, domains[0], taken, device="cpu"))
    damaged = tmp_path / "damaged"
    shutil.copytree(domains[0], damaged)
    (damaged / "train" / "blue" / "002.png").write_bytes(b"")
    made = tmp_path / "new"
    said = complaint(lambda: translate(run, damaged, made, device="cpu"))
    assert "002.png: expected a picture, got an empty file" in said
    wrong = complaint(lambda: translate(run, domains[0], made, step=9, device="cpu"))
    assert "expected a checkpoint at step 9, got none; the nearest is 2" in wrong
    assert {path.name for path in tmp_path.iterdir()} == {"taken", "damaged"}
    shutil.copytree(run.path, tmp_path / "cut")
    cut = TranslationRun(tmp_path / "cut", run.recipe)
    weights = cut.checkpoint().path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:500])
    assert "expected a safetensors file" in complaint(
        lambda: translate(cut, domains[0], made, device="cpu")
    )
    batch = tmp_path / "cifar"
    batch.mkdir()
    rows = np.zeros((4, 3073), np.uint8)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        rows.tofile(batch / name)
    (batch / "batches.meta.txt").write_text("\n".join(map(str, range(10))) + "\n")
    assert "binary version" in complaint(lambda: translate(run, batch, made, device="cpu"))
