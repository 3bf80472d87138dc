import numpy as np
import pytest
import torch

from rl_abn.attention import override_map
from rl_abn.attention.override import as_override

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


def test_arrays_lists_and_numbers_are_overrides():
    painted = np.arange(20.0).reshape(4, 5)
    flipped = override_map(MAP, as_override(painted[:, ::-1]))
    assert torch.equal(flipped[2, 1], torch.arange(20.0).view(4, 5).flip(1))
    assert (override_map(MAP, as_override([[0.25]])) == 0.25).all()
    assert (override_map(MAP, as_override(0.25)) == 0.25).all()
    own = MAP.clone()
    assert as_override(own) is own


def test_a_function_may_compute_in_numpy_whatever_the_precision():
    half = as_override(lambda maps: maps.numpy()[..., ::-1] / 2)
    result = override_map(MAP.bfloat16(), half)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, (MAP.bfloat16() / 2).flip(3))


@pytest.mark.parametrize("nothing", [object(), "dark", np.array(["dark"]), None])
def test_what_is_no_map_is_refused(nothing):
    with pytest.raises(ValueError, match="expected a map as an array, a tensor or a function"):
        as_override(nothing)
    function = as_override(lambda maps: nothing)
    with pytest.raises(ValueError, match=f"got {type(nothing).__name__}"):
        override_map(MAP, function)


def test_a_map_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 2, 4, 5\), got \(9, 9\)"):
        override_map(MAP, torch.zeros(9, 9))
