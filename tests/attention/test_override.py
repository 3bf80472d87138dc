import pytest
import torch

from rl_abn.attention import override_map

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
