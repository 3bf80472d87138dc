"""CycleGAN: two generators, two discriminators, and the gradients of one update of all four."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Generator as Random
from torch import Tensor, nn

from rl_abn.recipes.translation import TranslationLossTable, TranslatorRecipe
from rl_abn.vision.translation.discriminator import Discriminator
from rl_abn.vision.translation.generator import Generator
from rl_abn.vision.translation.image_pool import ImagePool
from rl_abn.vision.translation.losses import (
    adversarial_loss,
    consistency_loss,
    discriminator_loss,
    distance,
)

Pictures: TypeAlias = Float[Tensor, "B 3 H W"]
Maps: TypeAlias = Callable[[Pictures], Float[Tensor, "B m h w"]]


class CycleGan(nn.Module):
    """The four networks, and the pools of earlier translations.

    Attributes:
        to_target: Translates pictures of the source.
        to_source: Translates pictures of the target.
        source_discriminator: Tells the source's pictures from translated ones.
        target_discriminator: Tells the target's.
        source_pool: Earlier translations to the source.
        target_pool: Earlier translations to the target.
    """

    def __init__(self, recipe: TranslatorRecipe) -> None:
        super().__init__()
        self.to_target = Generator(recipe.generator)
        self.to_source = Generator(recipe.generator)
        self.source_discriminator = Discriminator(recipe.discriminator)
        self.target_discriminator = Discriminator(recipe.discriminator)
        self.source_pool = ImagePool(recipe.train.pool, recipe.pictures.size)
        self.target_pool = ImagePool(recipe.train.pool, recipe.pictures.size)

    def judge(self, judges: bool) -> None:
        """Says whether the discriminators' weights get gradients."""
        self.source_discriminator.requires_grad_(judges)
        self.target_discriminator.requires_grad_(judges)


def backward(
    model: CycleGan,
    source: Pictures,
    target: Pictures,
    table: TranslationLossTable,
    maps: Maps | None,
    random: Random,
) -> dict[str, Tensor]:
    """Adds the gradients of an update to all weights.

    The discriminators learn from translations of before the update, so that one step of one
    optimizer does what CycleGAN's two do one after the other.

    Args:
        model: The networks.
        source: Pictures of the source in -1..1.
        target: Pictures of the target.
        table: Weights of the losses.
        maps: The network's; None where their consistency is of weight 0.
        random: Of the pools.

    Returns:
        The losses by name, without their weights and without gradients.
    """
    model.judge(False)
    in_target, in_source = model.to_target(source), model.to_source(target)
    losses = {
        "adversarial": adversarial_loss(model.target_discriminator(in_target))
        + adversarial_loss(model.source_discriminator(in_source)),
        "cycle": distance(model.to_source(in_target), source)
        + distance(model.to_target(in_source), target),
    }
    total = losses["adversarial"] + table.cycle * losses["cycle"]
    if table.identity * table.cycle > 0:
        losses["identity"] = distance(model.to_target(target), target) + distance(
            model.to_source(source), source
        )
        total = total + table.identity * table.cycle * losses["identity"]
    if table.consistency > 0:
        assert maps is not None
        losses["consistency"] = _consistency(
            maps, table.consistency_on, (source, in_target), (target, in_source)
        )
        total = total + table.consistency * losses["consistency"]
    total.backward()
    model.judge(True)
    losses["discriminator"] = discriminator_loss(
        model.target_discriminator(target),
        model.target_discriminator(model.target_pool.query(in_target.detach(), random)),
    ) + discriminator_loss(
        model.source_discriminator(source),
        model.source_discriminator(model.source_pool.query(in_source.detach(), random)),
    )
    losses["discriminator"].backward()
    return {name: loss.detach() for name, loss in losses.items()}


def _consistency(
    maps: Maps,
    on: str,
    source: tuple[Pictures, Pictures],
    target: tuple[Pictures, Pictures],
) -> Tensor:
    pairs = {"source": [source], "target": [target], "both": [source, target]}[on]
    losses = []
    for original, translated in pairs:
        with torch.no_grad():
            before = maps(original)
        losses.append(consistency_loss(maps(translated), before))
    return torch.stack(losses).sum()
