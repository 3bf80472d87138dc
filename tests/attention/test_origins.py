"""Residual attention modules, highway gates and hourglasses: what their papers say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rl_abn.attention import MECHANISMS, AttentionSite, Mechanism
from rl_abn.attention.mechanisms.hourglass import Hourglass, ResidualUnit

C = 8
FEATURES = torch.randn(2, C, 9, 7, generator=torch.Generator().manual_seed(0))


def make(name: str, **options: Any) -> Mechanism:
    torch.manual_seed(0)
    mechanism = MECHANISMS[name](AttentionSite(C), **options)
    mechanism.set_own_start()
    return mechanism


@pytest.mark.parametrize("form", ["residual", "naive"])
def test_a_residual_module_multiplies_trunk_and_mask(form: str) -> None:
    """Wang et al., eq. 1 and 3."""
    mechanism = make("residual_module", form=form)
    mask = torch.rand(2, C, 9, 7)
    trunk = mechanism.trunk(FEATURES)
    gated = mechanism.gate(FEATURES, mask.view(2, 1, C, 63))
    torch.testing.assert_close(gated, ((1 + mask) if form == "residual" else mask) * trunk)
    plain = make("residual_module", form=form, trunk_units=0)
    zero = plain.gate(FEATURES, torch.zeros(2, 1, C, 63))
    assert torch.equal(zero, FEATURES if form == "residual" else torch.zeros_like(FEATURES))


def test_its_activations_are_those_of_the_paper() -> None:
    """Wang et al., eq. 4 to 6."""
    scores = make("residual_module").mask(FEATURES)
    maps = {
        name: make("residual_module", activation=name)(FEATURES).map.view(2, C, 9, 7)
        for name in ("mixed", "channel", "spatial")
    }
    torch.testing.assert_close(maps["mixed"], scores.sigmoid())
    length = scores.square().sum(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(maps["channel"], (scores / length).clamp_min(0))
    mean = scores.mean(dim=(2, 3), keepdim=True)
    deviation = scores.std(dim=(2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(
        maps["spatial"], ((scores - mean) / deviation).sigmoid(), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("activation", ["mixed", "channel", "spatial"])
def test_features_of_one_location_give_finite_gradients(activation: str) -> None:
    mechanism = make("residual_module", activation=activation)
    features = torch.zeros(1, C, 1, 1, requires_grad=True)
    mechanism.gate(features, mechanism(features).map).sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in mechanism.parameters())


def test_a_highway_carries_what_it_does_not_transform() -> None:
    """Srivastava et al., eq. 3 to 5."""
    mechanism = make("highway")
    transformed = mechanism.transform(FEATURES).relu()
    for gate, expected in ((0.0, FEATURES), (1.0, transformed)):
        gated = mechanism.gate(FEATURES, torch.full((2, 1, C, 63), gate))
        torch.testing.assert_close(gated, expected)
    own = mechanism(FEATURES).map
    torch.testing.assert_close(own.view(2, C, 9, 7), mechanism.gates(FEATURES).sigmoid())
    assert mechanism.gates.bias.tolist() == [-2.0] * C
    carries = mechanism(torch.zeros_like(FEATURES)).map
    torch.testing.assert_close(carries, torch.full_like(carries, 0.1192), atol=1e-4, rtol=0)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_an_hourglass_keeps_the_size_and_sees_everything(mode: str) -> None:
    torch.manual_seed(0)
    hourglass = Hourglass(C, 3, mode=mode)
    features = FEATURES.clone().requires_grad_()
    made = hourglass(features)
    assert made.shape == FEATURES.shape
    made[0, :, 0, 0].square().sum().backward()
    assert features.grad is not None
    assert features.grad[0].abs().sum(dim=0)[-1].sum() > 0  # the far side counts
    assert features.grad[1].abs().sum() == 0


def test_its_levels_lie_within_each_other() -> None:
    """Newell et al., figure 3: a skip beside a pooled, processed and enlarged path."""
    torch.manual_seed(0)
    hourglass = Hourglass(C, 1)
    features = FEATURES[:, :, :8, :6]
    small = nn.functional.max_pool2d(features, 3, 2, 1)
    small = hourglass.up(hourglass.inner(hourglass.down(small)))
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(hourglass(features), hourglass.skip(features) + large)


def test_a_residual_unit_normalises_where_it_can() -> None:
    kinds = [type(layer) for layer in ResidualUnit(C, nn.BatchNorm2d).layers]
    assert kinds == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d] * 3
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in ResidualUnit(C).layers)


def test_an_hourglass_block_adds_its_features_and_its_heat_map() -> None:
    """Newell et al., figure 4."""
    mechanism = make("hourglass")
    attention = mechanism(FEATURES)
    (made,) = attention.context
    torch.testing.assert_close(attention.map, mechanism.heat(made).sigmoid())
    expected = FEATURES + mechanism.remap_features(made) + mechanism.remap_map(attention.map)
    torch.testing.assert_close(mechanism.gate(FEATURES, attention.map, made), expected)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("residual_module", {"form": "half"}, "a form of"),
        ("residual_module", {"activation": "half"}, "an activation of"),
        ("residual_module", {"trunk_units": -1}, "trunk_units of 0 or more, got -1"),
        ("residual_module", {"depth": 0}, "a depth of 1 or more, got 0"),
        ("hourglass", {"depth": 0}, "a depth of 1 or more, got 0"),
        ("highway", {"kernel": 2}, "an odd kernel from 1, got 2"),
        ("eca", {"kernel": 2}, "a kernel of 0 or an odd number from 1, got 2"),
        ("cbam", {"kernel": 2}, "an odd kernel from 1, got 2"),
        ("cbam", {"reduction": 0}, "a reduction of 1 or more, got 0"),
    ],
)
def test_options_out_of_range_are_refused(
    name: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"expected {expected}"):
        make(name, **options)
