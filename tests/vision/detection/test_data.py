"""The made set, both layouts, and what malformed ones get."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from rl_abn.vision.detection.annotations import EVERY_CATEGORY
from rl_abn.vision.detection.data import BoxedExamples, mirrored
from rl_abn.vision.detection.layouts import open_layout, read_split
from rl_abn.vision.detection.shapes import draw_picture, write_shapes
from tests.complaints import complaint

CPU = torch.device("cpu")


@pytest.fixture
def made(tmp_path):
    write_shapes(tmp_path / "made", 5, seed=3)
    return tmp_path / "made"


def changed(folder, change):
    path = folder / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return complaint(lambda: read_split(folder, "train"))


def test_the_made_set_is_read_as_it_was_written(made, tmp_path):
    write_shapes(tmp_path / "again", 5, seed=3)
    for file in sorted(made.rglob("*.*")):
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(made)).read_bytes()
    assert open_layout(made).splits() == ("train", "val", "test")
    train = read_split(made, "train")
    assert (len(train), train.categories) == (5, ("disc", "square", "triangle"))
    assert all(0 < seen <= 1 for picture in train.pictures for seen in picture.visibility)
    assert train.notes == ()
    images, targets = BoxedExamples(train, CPU).batch([0, 1])
    assert images[0].shape == (3, 128, 128)
    assert targets[0].boxes.shape == (len(train.pictures[0].boxes), 4)


def test_half_of_the_shapes_are_behind_bars():
    shapes = [shape for seed in range(200) for shape in draw_picture(seed)[1]]
    covered = [shape for shape in shapes if shape.visible != shape.box]
    assert 0.4 < len(covered) / len(shapes) < 0.6
    for shape in covered:
        (x1, y1, x2, y2), (v1, w1, v2, w2) = shape.box, shape.visible
        share = (v2 - v1) * (w2 - w1) / ((x2 - x1) * (y2 - y1))
        assert 0.3 < share < 0.7


def test_mirroring_twice_changes_nothing(made):
    picture = read_split(made, "train").pictures[0]
    once = mirrored(picture)
    assert np.allclose(once.boxes[:, 0], 128 - picture.boxes[:, 2])
    assert np.array_equal(mirrored(once).boxes, picture.boxes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("annotations"), "expected a list 'annotations'"),
        (lambda d: d["annotations"][0].update(bbox=[300, 0, 5, 5]), "within the picture's 128"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, -5, 5]), "from 0, got [0, 0, -5, 5]"),
        (lambda d: d["annotations"][0].update(bbox=[0, 0, 5]), "expected a bbox of x, y"),
        (lambda d: d["annotations"][0].update(category_id=9), "got category_id 9"),
        (lambda d: d["annotations"][0].update(image_id=99), "got image_id 99"),
        (lambda d: d["images"][0].update(file_name="../x.png"), "within the set"),
        (lambda d: d["images"][0].update(file_name="gone.png"), "1 without one"),
        (lambda d: d["images"][0].update(height="7"), "whole number 'height'"),
        (lambda d: d["annotations"].clear(), "got 5 empty ones"),
        (lambda d: d["categories"].clear(), "expected categories"),
    ],
)
def test_wrong_annotations_get_one_line(made, change, words):
    assert words in changed(made, change)


def test_wrong_files_get_one_line(made, tmp_path):
    assert "neither" in complaint(lambda: open_layout(made / "train"))
    assert "new or empty" in complaint(lambda: write_shapes(made, 1))
    train = BoxedExamples(read_split(made, "train"), CPU)
    (made / "train" / "000001.png").write_bytes(b"")
    assert "an empty file" in complaint(lambda: train.pixels(0))
    cv2.imwrite(str(made / "train" / "000002.png"), np.zeros((9, 9, 3), np.uint8))
    assert "128×128, as its annotations say, got 9×9" in complaint(lambda: train.pixels(1))
    (made / "annotations" / "instances_train.json").write_text("{")
    assert "expected JSON" in complaint(lambda: read_split(made, "train"))


def test_crowds_and_boxes_over_the_edge(made):
    path = made / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["iscrowd"] = 1
    data["annotations"][1]["bbox"] = [-20, 10, 60, 30]
    path.write_text(json.dumps(data))
    train = read_split(made, "train")
    assert sum(len(picture.ignored) for picture in train.pictures) == 1
    assert "1 boxes reach beyond" in train.notes[0]


@pytest.mark.parametrize("area", ["1" + 400 * "0", "1e300", "1e999", "NaN", "-1"])
def test_an_area_that_is_no_finite_number_counts_as_missing(made, area):
    path = made / "annotations" / "instances_train.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["area"] = "AREA"
    path.write_text(json.dumps(data).replace('"AREA"', area))
    picture = read_split(made, "train").pictures[0]
    x1, y1, x2, y2 = picture.boxes[0]
    assert picture.areas[0] == (x2 - x1) * (y2 - y1)


def test_pictures_may_lie_in_images_beside_the_file(made):
    (made / "annotations" / "instances_train.json").rename(made / "train" / "_annotations.json")
    before = read_split(made, "train")
    (made / "train" / "images").mkdir()
    for picture in (made / "train").glob("*.png"):
        picture.rename(made / "train" / "images" / picture.name)
    moved = read_split(made, "train")
    assert [p.name for p in before.pictures] == [
        p.name.replace("images/", "") for p in moved.pictures
    ]
    assert all(p.name.startswith("train/images/") for p in moved.pictures)


def test_a_whole_fingerprint_knows_pixels_and_all_that_is_known_of_them(made):
    first = read_split(made, "train")
    seen = {first.whole_fingerprint()}
    assert read_split(made, "train").whole_fingerprint() in seen
    path = made / "annotations" / "instances_train.json"
    whole = path.read_text()
    for key, value in (("vis_bbox", [1, 1, 1, 1]), ("area", 7.0)):
        data = json.loads(whole)
        data["annotations"][0][key] = value
        path.write_text(json.dumps(data))
        seen.add(read_split(made, "train").whole_fingerprint())
    path.write_text(whole)
    picture = made / "train" / "000001.png"
    cv2.imwrite(str(picture), cv2.imread(str(picture)) // 2)
    seen.add(read_split(made, "train").whole_fingerprint())
    assert len(seen) == 4
    # Runs know their training set by this one: it stays as it is.
    assert read_split(made, "train").fingerprint() == first.fingerprint()


def test_citypersons(tmp_path):
    for folder in ("gtBboxCityPersons", "leftImg8bit"):
        (tmp_path / folder / "train" / "aachen").mkdir(parents=True)
    picture = tmp_path / "leftImg8bit" / "train" / "aachen" / "a_leftImg8bit.png"
    cv2.imwrite(str(picture), np.zeros((50, 100, 3), np.uint8))
    objects = [
        {"label": "pedestrian", "bbox": [10, 5, 16, 40], "bboxVis": [10, 5, 16, 20]},
        {"label": "rider", "bbox": [40, 5, 16, 40], "bboxVis": [40, 5, 16, 40]},
        {"label": "ignore", "bbox": [70, 0, 30, 50], "bboxVis": [70, 0, 30, 50]},
    ]
    annotations = tmp_path / "gtBboxCityPersons" / "train" / "aachen" / "a_gtBboxCityPersons.json"
    annotations.write_text(json.dumps({"imgHeight": 50, "imgWidth": 100, "objects": objects}))
    (read,) = read_split(tmp_path, "train").pictures
    assert read.boxes.tolist() == [[10, 5, 26, 45]]
    assert read.visibility.tolist() == [0.5]
    assert read.ignored_labels.tolist() == [EVERY_CATEGORY] * 2
    objects[0]["label"] = "pedestrain"
    annotations.write_text(json.dumps({"imgHeight": 50, "imgWidth": 100, "objects": objects}))
    assert "did you mean 'pedestrian'" in complaint(lambda: read_split(tmp_path, "train"))
    annotations.rename(annotations.parents[1] / annotations.name)
    assert "expected it in gtBboxCityPersons/SPLIT/CITY/, got 0 folders below" in complaint(
        lambda: read_split(tmp_path, "train")
    )
