import math

import torch

from rl_abn.attention import map_statistics


def one(values):
    return torch.tensor(values, dtype=torch.float32)[None, None]


def test_even_map_has_full_entropy_and_its_centre_in_the_middle():
    statistics = map_statistics(torch.full((1, 1, 7, 9), 0.3))
    assert math.isclose(statistics.entropy.item(), 1.0, abs_tol=1e-6)
    assert math.isclose(statistics.centre_x.item(), 0.5, abs_tol=1e-6)
    assert math.isclose(statistics.centre_y.item(), 0.5, abs_tol=1e-6)
    assert math.isclose(statistics.mean.item(), 0.3, abs_tol=1e-6)
    assert statistics.coverage.item() == 0


def test_single_place_has_no_entropy_and_is_the_centre():
    statistics = map_statistics(one([[0, 0, 0, 1.0], [0, 0, 0, 0]]))
    assert abs(statistics.entropy.item()) < 1e-6
    assert math.isclose(statistics.centre_x.item(), 3.5 / 4, abs_tol=1e-6)
    assert math.isclose(statistics.centre_y.item(), 0.5 / 2, abs_tol=1e-6)
    assert statistics.coverage.item() == 1 / 8


def test_contrast_is_the_standard_deviation_over_the_mean():
    assert map_statistics(torch.full((1, 1, 7, 9), 0.3)).contrast.item() < 1e-6
    statistics = map_statistics(one([[0.2, 0.4], [0.6, 0.8]]))
    assert math.isclose(statistics.contrast.item(), 0.05**0.5 / 0.5, abs_tol=1e-6)


def test_two_equal_places_have_the_entropy_of_a_coin():
    statistics = map_statistics(one([[1.0, 0, 0, 1.0]]))
    assert math.isclose(statistics.entropy.item(), math.log(2) / math.log(4), abs_tol=1e-6)


def test_all_zero_map_prefers_no_place():
    statistics = map_statistics(torch.zeros(1, 1, 4, 4))
    assert math.isclose(statistics.entropy.item(), 1.0, abs_tol=1e-6)
    assert all(torch.isfinite(value).all() for value in statistics)


def test_every_map_of_a_batch_is_described_on_its_own():
    maps = torch.rand(3, 2, 4, 5)
    together = map_statistics(maps)
    for b in range(3):
        for m in range(2):
            alone = map_statistics(maps[b : b + 1, m : m + 1])
            for whole, single in zip(together, alone, strict=True):
                torch.testing.assert_close(whole[b, m], single[0, 0])


def test_an_agent_without_maps_has_nothing_to_describe():
    assert map_statistics(torch.zeros(3, 0, 4, 5)).entropy.shape == (3, 0)
