import pytest
import torch

from rl_abn.attention import MECHANISMS, apply, one_hot_map

G = torch.Generator().manual_seed(0)
FEATURES = torch.randn(2, 8, 5, 6, generator=G)
MAP = torch.rand(2, 1, 5, 6, generator=G)


@pytest.mark.parametrize(
    ("mechanism", "expected"),
    [
        ("residual", (1 + MAP) * FEATURES),
        ("mask", MAP * FEATURES),
        ("soft", (MAP * FEATURES).sum((2, 3), keepdim=True)),
        ("none", FEATURES),
    ],
)
def test_formula(mechanism, expected):
    torch.testing.assert_close(apply(mechanism, FEATURES, MAP), expected)


def test_zero_map_leaves_residual_features_unchanged():
    assert torch.equal(apply("residual", FEATURES, torch.zeros_like(MAP)), FEATURES)


def test_zero_map_lets_nothing_through_a_mask():
    assert apply("mask", FEATURES, torch.zeros_like(MAP)).abs().max() == 0


def test_full_map_doubles_residual_features():
    assert torch.equal(apply("residual", FEATURES, torch.ones_like(MAP)), 2 * FEATURES)


@pytest.mark.parametrize("mechanism", sorted(set(MECHANISMS) - {"none"}))
def test_gradient_reaches_map_and_features(mechanism):
    features, attention_map = FEATURES.clone().requires_grad_(), MAP.clone().requires_grad_()
    apply(mechanism, features, attention_map).square().sum().backward()
    assert features.grad.abs().sum() > 0
    assert attention_map.grad.abs().sum() > 0


def test_hard_attention_reads_what_is_at_one_place():
    place = torch.tensor([7, 29])  # row 1, column 1 and row 4, column 5
    attention_map = one_hot_map(place, 5, 6, like=FEATURES)
    assert torch.equal(attention_map.sum(dim=(1, 2, 3)), torch.ones(2))
    read = apply("hard", FEATURES, attention_map)[:, :, 0, 0]
    assert torch.equal(read, torch.stack([FEATURES[0, :, 1, 1], FEATURES[1, :, 4, 5]]))


def test_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"residual.*mask.*none.*got 'residul'"):
        apply("residul", FEATURES, MAP)
