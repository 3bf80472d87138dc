"""Schema of recipes that translate pictures between two domains: every field, range and default."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rl_abn.recipes.table import Count, Label, NotNegative, Positive, Share, Table
from rl_abn.recipes.vision import Size

TRANSLATION = "translation"
"""The kind of a translation's data, by which its run is told from others."""


class GeneratorTable(Table):
    """The ResNet generators (Johnson et al., ECCV 2016; Zhu et al., ICCV 2017).

    Attributes:
        width: Channels of the first layer; published 64.
        blocks: Residual blocks; published 6 for pictures of 128 pixels a side, 9 for 256.
    """

    width: Annotated[int, Field(ge=1, le=1024)] = 64
    blocks: Annotated[int, Field(ge=1, le=64)] = 6


class DiscriminatorTable(Table):
    """The PatchGAN discriminators (Isola et al., CVPR 2017).

    Attributes:
        width: Channels of the first layer; published 64.
        layers: Layers that halve the picture; published 3, where a patch is 70 pixels a side.
    """

    width: Annotated[int, Field(ge=1, le=1024)] = 64
    layers: Annotated[int, Field(ge=1, le=8)] = 3


class TranslationLossTable(Table):
    """Weights of the generators' losses; that of the adversarial one is 1.

    Attributes:
        cycle: Of the distance between a picture and its translation translated back.
        identity: Of the distance between a picture and its translation to its own domain, as a
            share of `cycle`.
        consistency: Of the distance between the network's maps of a translation and of the
            original; 0 is CycleGAN as published.
        consistency_on: Which originals have to keep their maps: of the "source", where the network
            learned, of the "target", or "both".
    """

    cycle: NotNegative = 10.0
    identity: NotNegative = 0.5
    consistency: NotNegative = 1.0
    consistency_on: Literal["source", "target", "both"] = "source"


class TranslationOptimizerTable(Table):
    """Adam, for all four networks.

    Attributes:
        learning_rate: Until it falls.
        beta1: Decay of the gradient's mean.
        decay_from: Share of the steps after which it falls to 0 in a straight line.
    """

    learning_rate: Positive = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    decay_from: Annotated[float, Field(ge=0, lt=1)] = 0.5


class TranslationTrainTable(Table):
    """How training is run.

    Attributes:
        steps: Updates.
        batch_size: Pictures of each domain in an update.
        flip: Share of pictures that are mirrored.
        pool: Earlier translations that discriminators may be shown instead of new ones.
        log_every: Steps between two rows of metrics.
        sheet_every: Steps between two sheets of pairs; the end has one, too.
        n_probes: Pictures of each domain on a sheet; 0 is no sheet.
        checkpoint_every: Steps between two checkpoints; the end has one, too.
        keep: Number of newest checkpoints that are kept; 0 keeps all.
    """

    # Fields that may be others when a run is resumed.
    may_change: ClassVar[tuple[str, ...]] = ("steps", "keep")

    steps: Count
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1
    flip: Share = 0.5
    pool: Annotated[int, Field(ge=0, le=65_536)] = 50
    log_every: Count = 50
    sheet_every: Count = 500
    n_probes: Annotated[int, Field(ge=0, le=64)] = 6
    checkpoint_every: Count = 500
    keep: Annotated[int, Field(ge=0, lt=2**53)] = 2


class DomainPicturesTable(Table):
    """The pictures that are translated.

    Attributes:
        size: Height and width, multiples of 4, that whole pictures are resized to. What is written
            has the original's size again.
    """

    size: Size = (64, 64)

    @model_validator(mode="after")
    def _is_halved_twice(self) -> Self:
        if any(side % 4 or side < 8 for side in self.size):
            near = [max(8, 4 * round(side / 4)) for side in self.size]
            raise ValueError(
                "expected a size of multiples of 4 from 8, as generators halve a picture twice, "
                f"got {list(self.size)}; the nearest is {near}"
            )
        return self


class TranslatorRecipe(Table):
    """Two generators, two discriminators, and how they are trained."""

    pictures: DomainPicturesTable = DomainPicturesTable()
    generator: GeneratorTable = GeneratorTable()
    discriminator: DiscriminatorTable = DiscriminatorTable()
    loss: TranslationLossTable = TranslationLossTable()
    optimizer: TranslationOptimizerTable = TranslationOptimizerTable()
    train: TranslationTrainTable

    @model_validator(mode="after")
    def _discriminators_have_patches(self) -> Self:
        side, layers = min(self.pictures.size), self.discriminator.layers
        if side >> layers < 3:
            raise ValueError(
                f"expected pictures of {3 << layers} pixels a side or more for "
                f"discriminator.layers = {layers}, got {side}"
            )
        return self


class DomainsRecipe(Table):
    """What is translated.

    Attributes:
        kind: Tells the run from others.
        title: Name for display.
    """

    kind: Literal["translation"] = "translation"
    title: Label


class TranslationRunRecipe(Table):
    """A translation run's resolved recipe: names, contents, and the seed."""

    agent_name: Label
    env_name: Label
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    agent: TranslatorRecipe
    env: DomainsRecipe
