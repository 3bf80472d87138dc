"""Miss rates, average precision and mass of maps against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.vision.detection.annotations import EVERY_CATEGORY, Picture
from rl_abn.vision.detection.average_precision import average_precisions
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.map_mass import is_occluded, mass_on_visible, visible_mass
from rl_abn.vision.detection.miss_rate import Subset, log_average, match, miss_rates, subsets

ANY = Subset((0.0, float("inf")), (0.0, 1.0))
NO_DRAWS = np.zeros((0, 1), int)


def boxes(*corners):
    return np.array(corners, np.float32).reshape(-1, 4)


def picture(objects, visible=None, ignored=(), ignored_label=EVERY_CATEGORY):
    own = boxes(*objects)
    return Picture(
        "a.png",
        (200, 200),
        own,
        np.ones(len(own), np.int64),
        own if visible is None else boxes(*visible),
        (own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1]),
        boxes(*ignored),
        np.full(len(boxes(*ignored)), ignored_label),
    )


def found(*scored):
    own = boxes(*(box for box, _ in scored))
    scores = np.array([score for _, score in scored], np.float32)
    n = len(own)
    maps = np.zeros((n, 0, 7, 7), np.float32)
    return Found(own, scores, np.ones(n, np.int64), own, maps, np.full(n, np.nan))


ONE, OTHER = (10, 10, 60, 110), (120, 10, 170, 110)


def test_all_found_and_nothing_else_misses_nothing():
    matched = match(picture([ONE, OTHER]), found((ONE, 0.9), (OTHER, 0.8)), ANY, 1)
    assert matched.hits.tolist() == [True, True]
    assert log_average([matched]) == pytest.approx(1e-10)


def test_nothing_found_misses_all():
    assert log_average([match(picture([ONE]), found(), ANY, 1)]) == 1.0


def test_half_found_without_false_ones_misses_half():
    matched = match(picture([ONE, OTHER]), found((ONE, 0.9)), ANY, 1)
    assert log_average([matched]) == pytest.approx(0.5)


def test_the_mean_is_in_the_logarithm():
    # The false one comes first, so the object counts at one false positive per image alone.
    matched = match(picture([ONE, OTHER]), found((ONE, 0.5), ((0, 150, 40, 190), 0.9)), ANY, 1)
    assert log_average([matched]) == pytest.approx(np.exp(np.log(0.5) / 9))


def test_an_object_is_found_once():
    assert match(picture([ONE]), found((ONE, 0.9), (ONE, 0.8)), ANY, 1).hits.tolist() == [
        True,
        False,
    ]


def test_what_lies_in_an_ignored_region_does_not_count():
    ignored = picture([ONE], ignored=[(110, 0, 200, 200)])
    many = found((ONE, 0.9), (OTHER, 0.8), ((121, 12, 171, 112), 0.7))
    assert match(ignored, many, ANY, 1).hits.tolist() == [True]
    assert match(ignored._replace(ignored_labels=np.array([2])), many, ANY, 1).hits.tolist() == [
        True,
        False,
        False,
    ]


def test_objects_outside_a_subset_are_ignored():
    half = (10, 10, 60, 60)
    mixed = picture([ONE, OTHER], visible=[half, OTHER])
    both = found((ONE, 0.9), (OTHER, 0.8))
    by_name = subsets(50.0, 75.0)
    for name, n in (("reasonable", 1), ("small", 0), ("heavy", 1)):
        matched = match(mixed, both, by_name[name], 1)
        assert (matched.n_objects, int(matched.hits.sum())) == (n, n)
        assert len(matched.scores) == n
    rates = miss_rates([mixed], [both], by_name, [1], NO_DRAWS)
    assert list(rates) == ["reasonable", "heavy"]


def test_mass_of_a_map_on_the_visible_half():
    whole, left = boxes((0, 0, 70, 70)), boxes((0, 0, 35, 70))
    even = np.ones((1, 7, 7))
    assert mass_on_visible(even, whole, left) == pytest.approx([0.5])
    corner = np.zeros((1, 7, 7))
    corner[0, 3, 0] = 2.0
    assert mass_on_visible(corner, whole, left) == pytest.approx([1.0])
    middle = np.zeros((1, 7, 7))
    middle[0, 0, 3] = 1.0  # its cell is half visible
    assert mass_on_visible(middle, whole, left) == pytest.approx([0.5])
    assert mass_on_visible(np.zeros((1, 7, 7)), whole, left) == pytest.approx([0.5])
    assert is_occluded(np.repeat(whole, 2, 0), boxes(left[0], whole[0])).tolist() == [True, False]


def test_shares_of_one_picture_count_together():
    """Three objects of each of six pictures are alike: only the pictures are resampled."""
    pictures = np.repeat(np.arange(6), 3)
    share = 0.5 + 0.1 * pictures
    mass = visible_mass(share, np.full(18, 0.5), pictures)
    alone = visible_mass(share, np.full(18, 0.5), np.arange(18))
    assert mass.n == 18
    assert mass.above_even.value == pytest.approx(0.25)
    wide, narrow = (m.above_even.high - m.above_even.low for m in (mass, alone))
    assert wide > 1.4 * narrow
    assert visible_mass(share[:2], share[:2], pictures[:2]).share.low is None


def test_average_precision_is_cocos():
    pytest.importorskip("pycocotools", reason="pycocotools, which counts it, is not installed")
    pictures = [picture([ONE, OTHER]), picture([ONE])]
    all_of_them = [found((ONE, 0.9), (OTHER, 0.8)), found((ONE, 0.7))]
    draws = np.array([[0, 1], [0, 0], [1, 1]])
    scores = average_precisions(pictures, all_of_them, ("thing",), draws)
    assert scores.values["ap"] == pytest.approx(1.0)
    assert scores.drawn.tolist() == pytest.approx([1.0, 1.0, 1.0])
    nothing = average_precisions(pictures, [found(), found()], ("thing",), draws)
    assert nothing.values["ap"] == 0.0
    # 5 of the 10 thresholds of overlap, 0.5 to 0.7, take a box that covers 7/10.
    near = (10, 10, 60, 80)
    scores = average_precisions([picture([ONE])], [found((near, 0.9))], ("thing",), NO_DRAWS)
    assert scores.values["ap"] == pytest.approx(0.5)
    assert (scores.values["ap50"], scores.values["ap75"]) == pytest.approx((1.0, 0.0))
    one_of_two = average_precisions(pictures, [all_of_them[0], found()], ("thing",), draws)
    assert one_of_two.drawn[1:].tolist() == pytest.approx([1.0, 0.0])
