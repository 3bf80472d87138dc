"""What a detector got right and wrong in a picture, and the sheet that shows it."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from rl_abn.attention import Abilities
from rl_abn.recipes import VisionRunRecipe, make_vision_recipe
from rl_abn.runs import Run
from rl_abn.vision.detection.annotations import EVERY_CATEGORY, BoxedSet, Picture
from rl_abn.vision.detection.categories import Categories
from rl_abn.vision.detection.crops import crop
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.layouts import read_split
from rl_abn.vision.detection.mistakes import judge
from rl_abn.vision.detection.shapes import write_shapes
from rl_abn.vision.visualize import detections
from rl_abn.vision.visualize.box_sheet import CROP, MOST_CROPS, SIDE, draw_box_sheet
from rl_abn.vision.visualize.detections import detected_example, record_detector
from rl_abn.vision.visualize.watch import Wanted
from tests.complaints import complaint

ONE, OTHER, NEAR = (10, 10, 50, 50), (60, 60, 90, 90), (12, 10, 52, 50)
NAMES = ("disc", "square")


def boxes(*corners):
    return np.array(corners, np.float32).reshape(-1, 4)


def picture(*objects, ignored=(), ignored_label=EVERY_CATEGORY, size=(100, 120)):
    own = boxes(*(box for box, _ in objects))
    labels = np.array([label for _, label in objects], np.int64)
    areas = (own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1])
    regions = boxes(*ignored)
    return Picture(
        "a.png", size, own, labels, own, areas, regions, np.full(len(regions), ignored_label)
    )


def found(*answers, n_maps=1):
    own = boxes(*(box for box, *_ in answers))
    n = len(own)
    return Found(
        own,
        np.array([score for *_, score in answers], np.float32),
        np.array([label for _, label, _ in answers], np.int64),
        own,
        np.full((n, n_maps, 7, 7), 0.5, np.float32),
        np.full(n, np.nan),
    )


def test_a_found_box_is_its_objects_once():
    judged = judge(picture((ONE, 1), (OTHER, 2)), found((NEAR, 1, 0.8), (ONE, 1, 0.9)))
    assert judged.numbers.tolist() == [1, 0]  # the surest first
    assert judged.verdicts == ("right", "wrong")
    assert judged.missed.tolist() == [False, True]
    assert (judged.n_false, judged.is_right) == (1, False)


def test_another_category_finds_nothing_and_the_unsure_does_not_count():
    judged = judge(picture((ONE, 1)), found((ONE, 2, 0.9), (ONE, 1, 0.49)))
    assert judged.verdicts == ("wrong",)
    assert judged.missed.tolist() == [True]


def test_a_picture_without_mistakes_and_one_without_anything():
    assert judge(picture((ONE, 1), (OTHER, 2)), found((OTHER, 2, 0.6), (NEAR, 1, 0.9))).is_right
    assert judge(picture(), found()).is_right
    assert not judge(picture(), found((ONE, 1, 0.9))).is_right
    assert not judge(picture((ONE, 1)), found()).is_right


def test_what_lies_in_an_ignored_region_is_no_mistake():
    some = picture((ONE, 1), ignored=[(55, 55, 100, 100)], ignored_label=2)
    assert judge(some, found((ONE, 1, 0.9), (OTHER, 2, 0.8))).verdicts == ("right", "ignored")
    assert judge(some, found((ONE, 1, 0.9), (OTHER, 1, 0.8))).verdicts == ("right", "wrong")


def test_a_crop_keeps_the_box_within_a_pixel():
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[:, 20:] = 200
    # The edge of the bright half lies a quarter into the box, whatever its own edges.
    for box in ((17.5, 3.0, 27.5, 13.0), (15.0, 0.0, 35.0, 20.0)):
        drawn = crop(frame, np.array(box), (80, 80))[40, :, 0].astype(float)
        assert np.argmax(drawn > 100) == pytest.approx(20, abs=1)
    small = crop(frame, np.array((0.0, 0.0, 40.0, 40.0)), (4, 4))
    assert small[:, :2].max() == 0
    assert small[:, 2:].min() == 200


def example(seen, answer, maps=1):
    frame = np.full((*seen.size, 3), 90, np.uint8)
    abilities = Abilities(maps="spatial" if maps else None)
    return detected_example(frame, seen, answer, NAMES, abilities)


def test_the_sheet_counts_and_colours_what_was_found():
    right = example(picture((ONE, 1)), found((NEAR, 1, 0.9)))
    wrong = example(picture((ONE, 1), (OTHER, 2)), found((OTHER, 1, 0.8)))
    assert (right.said, right.is_right) == ("1 of 1 found", True)
    assert (wrong.said, wrong.is_right) == ("0 of 2 found, 1 false", False)
    assert example(picture(), found()).said == "nothing to find"
    assert [one.name for one in wrong.found] == ["disc"]
    assert [one.is_missed for one in wrong.true] == [True, True]
    sheet = draw_box_sheet([right, wrong], "a title")
    assert sheet.dtype == np.uint8
    alone = draw_box_sheet([right], "a title")
    assert sheet.shape[0] > alone.shape[0] > SIDE * 100 // 120 + CROP


def test_maps_are_drawn_on_one_scale():
    """Two maps of other values look other, though each is even: nothing is stretched."""
    seen = picture((ONE, 1), size=(100, 100))
    dark, bright = (found((ONE, 1, 0.9))._replace(maps=np.full((1, 1, 7, 7), v)) for v in (0, 1))
    sheets = [draw_box_sheet([example(seen, answer)], "t") for answer in (dark, bright)]
    assert (sheets[1].astype(int) - sheets[0]).max() > 80


def test_baselines_have_boxes_alone_and_crowds_the_surest_crops():
    seen = picture((ONE, 1))
    bare = draw_box_sheet([example(seen, found((ONE, 1, 0.9), n_maps=0), 0)], "t")
    crowd = found(*((ONE, 1, 0.9 - 0.01 * i) for i in range(MOST_CROPS + 3)))
    full = draw_box_sheet([example(seen, crowd)], "t")
    one = draw_box_sheet([example(seen, found((ONE, 1, 0.9)))], "t")
    assert bare.shape[0] < one.shape[0] < full.shape[0]
    assert full.shape[0] - bare.shape[0] < 3 * (CROP + 40)  # two rows


def test_pictures_of_many_shapes_fit_on_a_sheet():
    tall = example(picture((ONE, 1), size=(400, 60)), found())
    wide = example(picture((ONE, 1), size=(60, 900)), found((ONE, 1, 0.99)))
    assert draw_box_sheet([tall, wide], "t").shape[0] > 2 * SIDE


class Guesses:
    """A detector that finds what is there in every other picture, and nothing elsewhere."""

    abilities = Abilities(maps="spatial")

    def __init__(self, pictures):
        self.by_pixels = dict(pictures)
        self.asked = 0

    def detect(self, images):
        self.asked += len(images)
        return [self.by_pixels[image.numpy().tobytes()] for image in images]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run on made shapes whose detector needs no torchvision."""
    write_shapes(tmp_path / "data", 12, seed=3)
    recipe = make_vision_recipe("shapes_detection", "fasterrcnn_small_abn", 0, [])
    made = Run.create(tmp_path / "run", recipe, "cpu", data=str(tmp_path / "data"))
    test = read_split(tmp_path / "data", "test")

    def answers(boxed: BoxedSet):
        for i, seen in enumerate(boxed.pictures):
            pixels = cv2.imread(boxed.store.place(seen.name))[..., ::-1].copy()
            image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 255.0
            pairs = zip(seen.boxes, seen.labels, strict=True) if i % 2 else ()
            yield image.numpy().tobytes(), found(*((box, label, 0.9) for box, label in pairs))

    detector = Guesses(answers(test))
    categories = Categories(names=test.categories, n_train=12, n_held_out=2, train_sha256="x")
    trained = SimpleNamespace(
        detector=detector,
        categories=categories,
        device=torch.device("cpu"),
        checkpoint=SimpleNamespace(step=1),
    )
    monkeypatch.setattr(detections, "load_detector", lambda *a, **k: trained)
    return SimpleNamespace(run=made, detector=detector, folder=tmp_path)


def test_half_of_a_sheet_has_mistakes(run):
    kept = Run.open(run.run.path, VisionRunRecipe)
    recorded = record_detector(kept, wanted=Wanted(pictures=4))
    assert (recorded.n, recorded.n_wrong) == (4, 2)
    assert recorded.path == kept.path / "sheets" / "epoch-1-test.png"
    first = recorded.path.read_bytes()
    assert cv2.imdecode(np.frombuffer(first, np.uint8), 1).shape[0] > SIDE
    out = run.folder / "other.png"
    again = record_detector(kept, wanted=Wanted(pictures=4), out=out)
    assert again.path.read_bytes() == first  # the same seed draws the same pictures
    assert record_detector(kept, out=out).n == 6  # all there are


def test_what_a_sheet_of_boxes_has_not_gets_one_line(run):
    kept = Run.open(run.run.path, VisionRunRecipe)
    for wanted, words in (
        (Wanted(tasks=("a",)), "expected --tasks for a network of tasks"),
        (Wanted(frames=3), "expected --pictures for a sheet, got --frames"),
        (Wanted(seconds=1.0), "expected --pictures for a sheet, got --frames or --seconds"),
    ):
        assert words in complaint(lambda wanted=wanted: record_detector(kept, wanted=wanted))
    out = run.folder / "a.mp4"
    assert "ends in .png" in complaint(lambda: record_detector(kept, out=out))
    assert run.detector.asked == 0
