"""Generators, discriminators, the pool, and the gradients of an update."""

from __future__ import annotations

import pytest
import torch

from rl_abn.recipes.translation import (
    DiscriminatorTable,
    GeneratorTable,
    TranslationLossTable,
    TranslatorRecipe,
)
from rl_abn.vision.translation import losses
from rl_abn.vision.translation.cyclegan import CycleGan, backward
from rl_abn.vision.translation.discriminator import Discriminator
from rl_abn.vision.translation.generator import Generator
from rl_abn.vision.translation.image_pool import ImagePool
from rl_abn.vision.translation.train import learning_rate, make_model

TINY = {
    "pictures": {"size": (16, 12)},
    "generator": {"width": 4, "blocks": 1},
    "discriminator": {"width": 4, "layers": 2},
    "train": {"steps": 4, "pool": 2},
}


def tiny(**loss: object) -> TranslatorRecipe:
    return TranslatorRecipe.model_validate({**TINY, "loss": loss})


def batch(seed: int, n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, 16, 12, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("size", [(64, 64), (16, 12), (8, 96)])
def test_a_generator_keeps_the_size_and_stays_in_range(size: tuple[int, int]) -> None:
    pictures = Generator(GeneratorTable(width=4, blocks=2))(torch.randn(2, 3, *size))
    assert pictures.shape == (2, 3, *size)
    assert float(pictures.detach().abs().max()) <= 1.0


def test_the_published_networks_have_the_published_numbers_of_weights() -> None:
    with torch.device("meta"):
        generator = Generator(GeneratorTable(width=64, blocks=9))
        discriminator = Discriminator(DiscriminatorTable(width=64, layers=3))
    # The authors' code says 11.378 M and 2.765 M for them, instance normalisation without weights.
    assert sum(p.numel() for p in generator.parameters()) == 11_378_179
    assert sum(p.numel() for p in discriminator.parameters()) == 2_764_737


def test_a_patch_is_seventy_pixels_a_side_with_three_layers() -> None:
    discriminator = Discriminator(DiscriminatorTable(width=2, layers=3)).eval()
    for module in discriminator.modules():  # normalisation would let every pixel count everywhere
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda inputs: inputs  # type: ignore[method-assign]
    pictures = torch.randn(1, 3, 128, 128, requires_grad=True)
    scores = discriminator(pictures)
    assert scores.shape == (1, 1, 14, 14)
    scores[0, 0, 7, 7].backward()
    assert pictures.grad is not None
    rows = pictures.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_a_pool_fills_then_swaps_half_of_the_time() -> None:
    pool, random = ImagePool(3, (2, 2)), torch.Generator().manual_seed(0)
    pictures = [torch.full((1, 3, 2, 2), float(i)) for i in range(403)]
    for picture in pictures[:3]:
        assert torch.equal(pool.query(picture, random), picture)
    assert int(pool.count) == 3
    swapped = 0
    for picture in pictures[3:]:
        kept = {float(p[0, 0, 0]) for p in pool.pictures}
        shown = pool.query(picture, random)
        after = {float(p[0, 0, 0]) for p in pool.pictures}
        if torch.equal(shown, picture):
            assert after == kept
        else:
            swapped += 1
            assert kept - after == {float(shown[0, 0, 0, 0])}
            assert after - kept == {float(picture[0, 0, 0, 0])}
    assert 150 < swapped < 250  # 200 ± 5 deviations


def test_a_pool_of_none_shows_what_comes() -> None:
    picture = torch.ones(2, 3, 2, 2)
    assert ImagePool(0, (2, 2)).query(picture, torch.Generator()) is picture


def maps_of(pictures: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(pictures.mean(1, keepdim=True))


@pytest.mark.parametrize("on", ["source", "target", "both"])
def test_every_weight_gets_a_gradient_and_losses_add_up(on: str) -> None:
    recipe = tiny(cycle=3.0, identity=0.5, consistency=2.0, consistency_on=on)
    model = make_model(recipe, 0, torch.device("cpu"))
    source, target = batch(0), batch(1)
    in_target, in_source = model.to_target(source), model.to_source(target)
    parts = {
        "adversarial": losses.adversarial_loss(model.target_discriminator(in_target))
        + losses.adversarial_loss(model.source_discriminator(in_source)),
        "cycle": (model.to_source(in_target) - source).abs().mean()
        + (model.to_target(in_source) - target).abs().mean(),
        "identity": (model.to_target(target) - target).abs().mean()
        + (model.to_source(source) - source).abs().mean(),
        "consistency": sum(
            (maps_of(there) - maps_of(here).detach()).flatten(1).norm(dim=1).mean()
            for name, here, there in (("source", source, in_target), ("target", target, in_source))
            if on in (name, "both")
        ),
    }
    total = parts["adversarial"] + 3 * parts["cycle"] + 1.5 * parts["identity"]
    total = total + 2 * parts["consistency"]
    generators = [*model.to_target.parameters(), *model.to_source.parameters()]
    expected = torch.autograd.grad(total, generators)
    got = backward(model, source, target, recipe.loss, maps_of, torch.Generator())
    assert all(p.grad is not None and p.requires_grad for p in model.parameters())
    for name, value in parts.items():
        assert float(got[name]) == pytest.approx(float(value.detach()), rel=1e-5), name
    for parameter, gradient in zip(generators, expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-5)  # type: ignore[arg-type]
    judges = [model.target_discriminator, model.source_discriminator]
    # What the first pool shows is what came: the discriminators' gradients are of these pictures.
    shown = [(target, in_target.detach()), (source, in_source.detach())]
    learned = sum(
        losses.discriminator_loss(judge(real), judge(fake))
        for judge, (real, fake) in zip(judges, shown, strict=True)
    )
    weights = [p for judge in judges for p in judge.parameters()]
    for parameter, gradient in zip(weights, torch.autograd.grad(learned, weights), strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)  # type: ignore[arg-type]


def test_a_consistency_of_weight_0_asks_no_network() -> None:
    recipe = tiny(consistency=0.0)
    model = CycleGan(recipe)

    def asked(pictures: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    got = backward(model, batch(0), batch(1), recipe.loss, asked, torch.Generator())
    assert "consistency" not in got


def test_the_learning_rate_is_constant_then_falls_to_0_in_a_straight_line() -> None:
    table = tiny().optimizer
    rates = [learning_rate(table, step, 8) / table.learning_rate for step in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert TranslationLossTable().identity == 0.5
