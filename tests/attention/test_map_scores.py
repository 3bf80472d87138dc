import math

import pytest
import torch

from rl_abn.attention.map_scores import check_map_form, maps_of_scores

SCORES = torch.randn(3, 2, 5, 6, generator=torch.Generator().manual_seed(0))


def test_a_sigmoid_follows_gain_and_bias():
    torch.testing.assert_close(
        maps_of_scores(SCORES, "sigmoid", 2.0, -1.0), torch.sigmoid(2 * SCORES - 1)
    )


@pytest.mark.parametrize("size", [1e-2, 1.0, 1e3])
def test_standardised_maps_have_the_same_contrast_whatever_the_scores_size(size):
    maps = maps_of_scores(size * SCORES + 7, "standardised", 1.5, -0.5)
    logits = (maps / (1 - maps)).log()
    torch.testing.assert_close(logits.mean(dim=(2, 3)), torch.full((3, 2), -0.5), atol=1e-3, rtol=0)
    spread = logits.std(dim=(2, 3), correction=0)
    torch.testing.assert_close(spread, torch.full((3, 2), 1.5), atol=0.1, rtol=0)


def test_scores_that_are_alike_make_an_even_map():
    even = torch.full((1, 1, 4, 4), 3.0)
    torch.testing.assert_close(
        maps_of_scores(even, "standardised", 2.0, -1.0), torch.full_like(even, -1.0).sigmoid()
    )


def test_a_softmax_shares_out_one_among_the_places():
    maps = maps_of_scores(SCORES, "softmax", 2.0)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(3, 2))
    ratio = maps[0, 0, 1, 2] / maps[0, 0, 0, 0]
    expected = (2 * (SCORES[0, 0, 1, 2] - SCORES[0, 0, 0, 0])).exp()
    torch.testing.assert_close(ratio, expected)


def test_a_standardised_softmax_has_the_same_contrast_whatever_the_scores_are():
    scores = torch.randn(2, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    maps = maps_of_scores(scores, "standardised_softmax", 1.0)
    torch.testing.assert_close(maps, maps_of_scores(100 * scores + 7, "standardised_softmax", 1.0))
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, 1))
    held = 1 / (maps.square().sum(dim=(2, 3)) * 256 * 256)  # participation: share of the places
    torch.testing.assert_close(held, torch.full((2, 1), math.exp(-1.0)), rtol=0.1, atol=0)


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match=r"expected map_form of .* got 'sigmiod'"):
        check_map_form("sigmiod")
