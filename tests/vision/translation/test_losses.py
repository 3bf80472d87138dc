"""Every loss against its closed form."""

from __future__ import annotations

import pytest
import torch

from rl_abn.vision.translation.losses import (
    adversarial_loss,
    consistency_loss,
    discriminator_loss,
    distance,
)


def test_adversarial_loss_is_the_squared_distance_to_one() -> None:
    scores = torch.tensor([1.0, 0.0, 3.0, -1.0]).view(2, 1, 1, 2)
    assert float(adversarial_loss(scores)) == pytest.approx((0 + 1 + 4 + 4) / 4)


def test_discriminator_loss_wants_ones_and_zeros() -> None:
    real, translated = torch.full((1, 1, 2, 2), 0.5), torch.full((1, 1, 2, 2), 2.0)
    assert float(discriminator_loss(real, translated)) == pytest.approx(0.5 * (0.25 + 4.0))
    assert float(discriminator_loss(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))) == 0.0


def test_distance_is_the_mean_absolute_difference() -> None:
    pictures = torch.zeros(1, 3, 2, 2)
    pictures[0, 0, 0, 0] = -0.6
    assert float(distance(pictures, torch.zeros_like(pictures))) == pytest.approx(0.6 / 12)


def test_consistency_loss_is_the_mean_norm_of_the_difference_of_maps() -> None:
    maps, originals = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    maps[0, 0, 0] = torch.tensor([0.3, 0.4])
    assert float(consistency_loss(maps, originals)) == pytest.approx((0.5 + 0.0) / 2)


def test_consistency_loss_moves_the_translation_alone_and_is_still_where_maps_agree() -> None:
    maps = torch.rand(2, 1, 3, 3, requires_grad=True)
    originals = torch.rand(2, 1, 3, 3, requires_grad=True)
    consistency_loss(maps, originals).backward()
    assert originals.grad is None
    gap = (maps - originals).detach()
    expected = gap / gap.flatten(1).norm(dim=1)[:, None, None, None] / 2
    assert torch.allclose(maps.grad, expected, atol=1e-6)  # type: ignore[arg-type]
    same = torch.rand(1, 1, 3, 3, requires_grad=True)
    consistency_loss(same, same.detach().clone()).backward()
    assert same.grad is not None
    assert not same.grad.any()
