"""From pictures to batches: in which order, changed how, normalised, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Generator, Tensor

from rl_abn.compute import Compute
from rl_abn.recipes.vision import AugmentTable, DataRecipe
from rl_abn.vision.data.augment import (
    augment_driving,
    normalise,
    pad_crop_flip,
    random_resized_crop_flip,
)
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.driving.control_classes import ControlClasses


class Batch(NamedTuple):
    """Some pictures as a network takes them.

    Attributes:
        images: [B, 3, H, W], normalised.
        targets: Classes [B], tasks [B, T] or controls [B, 2].
        speed: [B], or None.
    """

    images: Float[Tensor, "B 3 H W"]
    targets: Shaped[Tensor, "B ..."]
    speed: Float[Tensor, " B"] | None


@dataclass(frozen=True, eq=False)
class Batches:
    """Makes batches of examples.

    Attributes:
        recipe: What is made of the pictures.
        compute: Precision and memory layout.
        classes: What controls become for a network that drives by classification; else None.
    """

    recipe: DataRecipe
    compute: Compute
    classes: ControlClasses | None = None

    def images(self, pixels: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Returns pictures of 0..255 as a network takes them."""
        normal = normalise(pixels, self.recipe.pictures.statistics)
        return self.compute.images(normal, normalize=False)

    def batch(
        self, examples: Examples, numbers: Int64[Tensor, " B"], generator: Generator | None = None
    ) -> Batch:
        """Returns some examples.

        Args:
            examples: What they are of.
            numbers: Which, on the CPU.
            generator: Of the augmentation; None augments nothing.
        """
        pixels = examples.pictures.read(examples.indices[numbers])
        on_device = numbers.to(examples.targets.device)
        targets = examples.targets[on_device]
        speed = None if examples.speed is None else examples.speed[on_device]
        if generator is not None:
            pixels, targets = _augmented(self.recipe.augment, pixels, targets, generator)
        return Batch(self.images(pixels), self.encode(targets), speed)

    def encode(self, targets: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "B ..."]:
        """Returns targets as the loss takes them: as they are, or controls as classes."""
        return targets if self.classes is None else self.classes.encode(targets)

    def in_order(
        self, examples: Examples, batch_size: int
    ) -> Iterator[tuple[Int64[Tensor, " B"], Batch]]:
        """Yields all examples in their order, unchanged, with their numbers."""
        for numbers in torch.arange(len(examples)).split(batch_size):
            yield numbers, self.batch(examples, numbers)


def epoch_order(n: int, batch_size: int, seed: int) -> list[Int64[Tensor, " B"]]:
    """Cuts n examples into batches at random.

    A last batch of one picture is left out: BatchNorm can learn nothing from it.
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    batches = list(order.split(batch_size))
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def _augmented(
    table: AugmentTable, pixels: Tensor, targets: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    if table.name == "pad_crop_flip":
        return pad_crop_flip(pixels, generator, table.pad), targets
    if table.name == "random_resized_crop_flip":
        size = (pixels.shape[2], pixels.shape[3])
        return random_resized_crop_flip(pixels, generator, size), targets
    if table.name == "driving":
        return augment_driving(
            pixels,
            targets,
            generator,
            flip=table.flip,
            brightness=table.brightness,
            shift=table.shift,
            steering_per_pixel=table.steering_per_pixel,
        )
    return pixels, targets
