"""What a recipe of the vision track may say: every field, its range and its default."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from rl_abn.attention import MECHANISMS, QUERIED
from rl_abn.recipes.schema import (
    Count,
    Label,
    NotNegative,
    Positive,
    Share,
    Span,
    Table,
    check_name,
)

DataKind = Literal["classes", "attributes", "driving"]
DATA_KINDS: tuple[str, ...] = get_args(DataKind)
Side = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[Side, Side], Field(strict=False)]
Option = bool | int | float | Annotated[str, Field(max_length=255)] | list[int]


class VisionNetworkTable(Table):
    """The network. Further keys are options of its own, such as `depth` of "resnet".

    Attributes:
        name: A name in `rl_abn.vision.models.MODELS`.
        answers: "classes", "tasks" or "controls"; None answers as the data asks. A network that
            is to drive by classes says "classes".
        dropout: Probability of MC dropout in both branches, 0 for none.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    name: Label
    answers: Literal["classes", "tasks", "controls"] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def options(self) -> dict[str, Option]:
        """The options that are the network's own."""
        return dict(self.__pydantic_extra__)


class VisionAttentionTable(Table):
    """How the network attends.

    Attributes:
        mechanism: How a map gates the features: residual, mask, or none for the plain twin.
    """

    mechanism: str = "residual"

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if self.mechanism in QUERIED:
            raise ValueError(
                f"expected a mechanism that asks no question, got '{self.mechanism}', which needs "
                "an agent's LSTM to ask it: the nearest is 'mask'"
            )
        check_name("mechanism", self.mechanism, [m for m in MECHANISMS if m not in QUERIED])
        return self


class ScheduleTable(Table):
    """How the learning rate changes over the training.

    Attributes:
        kind: "steps" multiplies it by `factor` at every point of `at`, "cosine" brings it to 0
            along half a cosine (Loshchilov and Hutter, ICLR 2017), "constant" leaves it.
        at: Shares of the epochs, ascending.
        factor: What each step multiplies it by.
    """

    kind: Literal["constant", "steps", "cosine"] = "constant"
    at: Annotated[tuple[Share, ...], Field(strict=False, max_length=64)] = ()
    factor: Positive = 0.1

    @model_validator(mode="after")
    def _steps_are_in_order(self) -> Self:
        if (self.kind == "steps") != bool(self.at) or list(self.at) != sorted(self.at):
            raise ValueError(
                f"expected ascending shares of the epochs in at with kind 'steps', and none with "
                f"others, got {list(self.at)} with '{self.kind}'"
            )
        return self


class OptimizerTable(Table):
    """How weights are changed.

    Attributes:
        name: "sgd" or "adam".
        learning_rate: Step size at the start, after the warm-up.
        momentum: Of SGD.
        nesterov: Whether SGD's momentum is Nesterov's.
        weight_decay: Added to the gradient, times the weight.
        warmup: Epochs over which the learning rate grows from 0.
        schedule: How it changes.
    """

    name: Literal["sgd", "adam"] = "sgd"
    learning_rate: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 0.0
    warmup: NotNegative = 0.0
    schedule: ScheduleTable = ScheduleTable()

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise ValueError("expected nesterov with sgd and a momentum above 0, got none")
        return self


class LossTable(Table):
    """What is learned from.

    Attributes:
        branch_coef: Weight of the attention branch's own loss beside the perception branch's.
    """

    branch_coef: NotNegative = 1.0


class VisionTrainTable(Table):
    """How training is run.

    Attributes:
        epochs: Passes over the training pictures.
        batch_size: Pictures in a batch.
        held_out: Share of the training pictures that nothing is learned from; not used where the
            data has a validation split of its own or is a drive, whose recipe says what is held
            out. 0 holds nothing out.
        checkpoint_every: Epochs between two checkpoints.
        keep: How many of the newest checkpoints stay; 0 keeps all.
        n_probes: Held-out pictures whose maps are kept after every epoch; 0 keeps none.
        precision: "fp32", "bf16", or "auto": bf16 where the processor or GPU computes it natively,
            else fp32. A run's record has what it came to when it began.
        compile: Whether `torch.compile` makes kernels of the network's parts.
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    checkpoint_every: Count = 1
    keep: Annotated[int, Field(ge=0, lt=2**53)] = 3
    n_probes: Annotated[int, Field(ge=0, le=64)] = 8
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False


class EditTable(Table):
    """How a trained network is fine-tuned to maps that a person edited.

    Attributes:
        gamma: Weight of the distance between its maps and the edited ones (Mitsuhara et al. 2019);
            0 fine-tunes without it.
        epochs: Passes over the training pictures.
        learning_rate: SGD's at the start; it falls to 0 along a cosine.
    """

    gamma: NotNegative = 10.0
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    learning_rate: Positive = 0.01


class ModelRecipe(Table):
    """A network, how it is trained, and how it is fine-tuned."""

    network: VisionNetworkTable
    attention: VisionAttentionTable = VisionAttentionTable()
    optimizer: OptimizerTable
    loss: LossTable = LossTable()
    train: VisionTrainTable
    edit: EditTable = EditTable()


class PicturesTable(Table):
    """What pictures are made to look like.

    Attributes:
        size: Height and width; None leaves them, if all have one size.
        short_side: The short side is resized to this before `size` is cut from the centre.
        rows: First row that is kept and the row after the last, of a drive's frames as stored.
        statistics: Whose channel means and deviations they are normalised by.
    """

    size: Size | None = None
    short_side: Side | None = None
    rows: Span | None = None
    statistics: Label = "half"


class AugmentTable(Table):
    """How training pictures are changed, each time anew.

    Attributes:
        name: "pad_crop_flip" (CIFAR's), "random_resized_crop_flip" (ImageNet's), "driving" (its
            steering changes with the frame) or "none".
        pad: Black pixels on each side, of pad_crop_flip.
        flip: Share of a drive's frames that are mirrored.
        brightness: A drive's frames become up to this much brighter or darker.
        shift: A drive's frames move to either side by up to this many pixels.
        steering_per_pixel: What one pixel to the right adds to the steering.
    """

    name: Literal["none", "pad_crop_flip", "random_resized_crop_flip", "driving"] = "none"
    pad: Annotated[int, Field(ge=0, le=1024)] = 4
    flip: Share = 0.5
    brightness: Share = 0.3
    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    steering_per_pixel: NotNegative = 0.0


class FoldsTable(Table):
    """Which part of a drive is held out.

    Attributes:
        k: The drive is cut into so many stretches.
        fold: Which of them is held out, 0 to k - 1.
        margin: Frames on both sides of it that nothing is learned from: they look like it.
    """

    k: Annotated[int, Field(ge=2, le=1000)] = 5
    fold: Annotated[int, Field(ge=0)] = 0
    margin: Annotated[int, Field(ge=0, lt=2**31)] = 50

    @model_validator(mode="after")
    def _fold_is_one_of_k(self) -> Self:
        if self.fold >= self.k:
            raise ValueError(f"expected a fold of 0 to {self.k - 1}, got {self.fold}")
        return self


class ControlsTable(Table):
    """What a driver's controls become.

    Attributes:
        speed_scale: A speed that networks see as 1, in the log's own unit.
        steering_bins: Classes that steering is cut into for a network that answers classes.
        bins: "equal" makes them equally wide, "quantile" equally full.
        pedals: What is learned beside the steering: the "throttle", 0..1, or "signed", throttle -
            brake in -1..1, so that a network with two outputs can brake.
        classes: What a network that answers classes chooses among: ranges of "steering", or
            CarRacing's five "actions", of which it can drive.
    """

    speed_scale: Positive = 30.0
    steering_bins: Annotated[int, Field(ge=2, le=1001)] = 15
    bins: Literal["equal", "quantile"] = "equal"
    pedals: Literal["throttle", "signed"] = "throttle"
    classes: Literal["steering", "actions"] = "steering"

    @model_validator(mode="after")
    def _actions_brake(self) -> Self:
        if self.classes == "actions" and self.pedals != "signed":
            raise ValueError(
                "expected pedals 'signed' with classes 'actions', one of which brakes, "
                f"got '{self.pedals}'"
            )
        return self


class DataRecipe(Table):
    """A data set: of what kind it is, and what is made of it.

    Attributes:
        kind: "classes" (one of K), "attributes" (K times yes or no) or "driving".
        title: Its name for people.
    """

    kind: DataKind
    title: Label
    pictures: PicturesTable = PicturesTable()
    augment: AugmentTable = AugmentTable()
    folds: FoldsTable | None = None
    controls: ControlsTable | None = None

    @model_validator(mode="after")
    def _drives_have_what_they_need(self) -> Self:
        drives = self.kind == "driving"
        for field in ("folds", "controls"):
            if (getattr(self, field) is not None) != drives:
                said = "a table" if drives else "no table"
                raise ValueError(f"expected {said} [{field}] with kind '{self.kind}'")
        if (self.augment.name == "driving") != drives and self.augment.name != "none":
            allowed = "driving" if drives else "pad_crop_flip, random_resized_crop_flip"
            raise ValueError(
                f"expected augment.name of {allowed} or none with kind '{self.kind}', "
                f"got '{self.augment.name}'"
            )
        if (self.pictures.rows and not drives) or (self.pictures.short_side and drives):
            raise ValueError(
                "expected pictures.rows with kind 'driving' alone, and short_side with others"
            )
        return self


class VisionRunRecipe(Table):
    """A resolved recipe of the vision track: all that a run was made of.

    Attributes:
        agent_name: The model recipe it came from.
        env_name: The data recipe it came from.
        seed: The seed of everything random.
    """

    agent_name: Label
    env_name: Label
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    agent: ModelRecipe
    env: DataRecipe
