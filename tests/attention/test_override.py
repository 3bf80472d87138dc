import pytest
import torch

from rl_abn.attention import override_map
from rl_abn.attention.override import inverted, shuffled, uniform, zero

MAP = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))


def test_none_keeps_the_maps():
    assert override_map(MAP, None) is MAP


def test_one_painted_map_serves_a_whole_batch():
    painted = torch.rand(4, 5)
    result = override_map(MAP, painted)
    assert result.shape == MAP.shape
    assert all(torch.equal(result[b, m], painted) for b in range(3) for m in range(2))


def test_function_of_the_agents_own_maps():
    torch.testing.assert_close(override_map(MAP, lambda m: m / 2), MAP / 2)


def test_a_map_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 2, 4, 5\), got \(9, 9\)"):
        override_map(MAP, torch.zeros(9, 9))


def test_zero_and_inverted():
    assert zero(MAP).abs().sum() == 0
    torch.testing.assert_close(inverted(MAP) + MAP, torch.ones_like(MAP))


def test_uniform_keeps_each_maps_mass_and_has_no_structure():
    even = uniform(MAP)
    torch.testing.assert_close(even.sum(dim=(2, 3)), MAP.sum(dim=(2, 3)))
    assert even.flatten(2).std(dim=2).max() < 1e-6


def test_shuffled_keeps_the_values_and_moves_them():
    moved = shuffled(MAP, torch.Generator().manual_seed(1))
    assert torch.equal(moved.flatten(2).sort(dim=2).values, MAP.flatten(2).sort(dim=2).values)
    assert not torch.equal(moved, MAP)
    assert torch.equal(moved, shuffled(MAP, torch.Generator().manual_seed(1)))
