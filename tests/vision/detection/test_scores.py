"""Miss rates, average precision and mass of maps against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.vision.detection import miss_rate
from rl_abn.vision.detection.annotations import EVERY_CATEGORY, Picture
from rl_abn.vision.detection.average_precision import AveragePrecisions, average_precisions
from rl_abn.vision.detection.draws import drawn_estimate, draws_of
from rl_abn.vision.detection.evaluate import ap_difference
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


def random_set(n=12, n_categories=3):
    """Pictures with up to three objects of some categories, and what was found near them."""
    rng = np.random.default_rng(0)
    pictures, founds = [], []
    for _ in range(n):
        own = rng.uniform(0, 60, (rng.integers(4), 2))
        own = np.concatenate([own, own + rng.uniform(50, 120, own.shape)], 1)
        labels = rng.integers(1, n_categories + 1, len(own))
        near = own.repeat(3, 0) + rng.normal(0, 8, (3 * len(own), 4))
        named = np.where(rng.random(len(near)) < 0.8, labels.repeat(3), 1)
        seen = own - np.outer(rng.uniform(0, 30, len(own)), [0, 0, 0, 1])
        pictures.append(picture(own, seen, ignored=[(150, 150, 200, 200)])._replace(labels=labels))
        scored = found(*((box, rng.random()) for box in near))
        founds.append(scored._replace(labels=named))
    return pictures, founds


def test_a_draw_counts_as_if_its_pictures_were_all_there_is():
    pictures, founds = random_set()
    by_name, draws = subsets(50.0, 75.0), draws_of(12, 0)[:40]
    rates = miss_rates(pictures, founds, by_name, [1, 2, 3], draws)
    alone = [
        miss_rates([pictures[i] for i in d], [founds[i] for i in d], by_name, [1, 2, 3], NO_DRAWS)
        for d in draws
    ]
    assert len(rates) == 3
    for name, rate in rates.items():
        drawn = [one[name].value for one in alone if name in one]
        assert tuple(rate[1:]) == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=1e-12)


def test_drawn_average_precision_is_cocos():
    pytest.importorskip("pycocotools", reason="pycocotools, which counts it, is not installed")
    pictures, founds = random_set()
    draws, names = draws_of(12, 0)[:20], ("a", "b", "c")
    drawn = average_precisions(pictures, founds, names, draws).drawn
    none = np.zeros((0, 12), int)
    alone = [
        average_precisions([pictures[i] for i in d], [founds[i] for i in d], names, none)
        for d in draws
    ]
    assert drawn.tolist() == pytest.approx([one.values["ap"] for one in alone], abs=1e-12)


def test_what_no_object_is_of_is_not_matched(monkeypatch):
    asked = []
    real = miss_rate.match

    def counting(picture, found, subset, category):
        asked.append((subset.visibility, category))
        return real(picture, found, subset, category)

    monkeypatch.setattr(miss_rate, "match", counting)
    by_name = subsets(50.0, 200.0)
    rates = miss_rates([picture([ONE])], [found((ONE, 0.9))], by_name, range(1, 81), NO_DRAWS)
    assert list(rates) == ["reasonable", "small"]
    assert asked == [((0.65, 1.0), 1)] * 2


def test_draws_without_an_object_are_left_out():
    assert drawn_estimate(0.5, [0.4, np.nan, 0.6, np.nan])[1:] == pytest.approx((0.405, 0.595))
    assert drawn_estimate(0.5, [0.4, np.nan]) == (0.5, None, None)
    own = AveragePrecisions({"ap": 0.5}, np.array([0.4, np.nan, 0.6]))
    less = AveragePrecisions({"ap": 0.4}, np.array([0.3, np.nan, 0.5]))
    assert own.estimates["ap"] == pytest.approx((0.5, 0.405, 0.595))
    assert ap_difference(less, own) == pytest.approx((-0.1, -0.1, -0.1))


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
