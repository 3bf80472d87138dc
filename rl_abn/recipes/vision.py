"""Schema of the vision track's recipes: every field, its range and its default."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from rl_abn.attention import MECHANISMS, Abilities
from rl_abn.recipes.agent import check_mechanism_options
from rl_abn.recipes.options import Option
from rl_abn.recipes.table import (
    Count,
    Label,
    NotNegative,
    Positive,
    Share,
    Span,
    Table,
    check_name,
    with_new_names,
)

DataKind = Literal["classes", "attributes", "driving", "boxes"]
DATA_KINDS: tuple[str, ...] = get_args(DataKind)
Side = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[Side, Side], Field(strict=False)]


_OLD_TASKS = {"classes": "classification", "tasks": "multilabel", "controls": "regression"}


def with_task(table: object) -> object:
    """Returns a table of before `task` was called `answers` under the names of today."""
    if not isinstance(table, dict) or "answers" not in table:
        return table
    old = table["answers"]
    table = {**table, "answers": _OLD_TASKS.get(old, old) if isinstance(old, str) else old}
    return with_new_names(table, {"answers": "task"})


class VisionNetworkTable(Table):
    """The network. Further keys are its own options, such as `depth` of "resnet".

    Attributes:
        name: A name in `rl_abn.vision.models.MODELS`.
        task: What it is trained to do, a name in `rl_abn.vision.tasks.TASKS`: "classification",
            "multilabel" or "regression"; None follows the data. A network that drives by classes
            needs "classification".
        dropout: Probability of MC dropout in both branches, 0 for none.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    name: Label
    task: Label | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, table: object) -> object:
        return with_task(table)

    @property
    def options(self) -> dict[str, Option]:
        """The network's own options."""
        return dict(self.__pydantic_extra__)


def check_vision_mechanism(mechanism: str) -> None:
    """Raises ValueError if there is no such mechanism, or it needs an agent's LSTM for a query."""
    if mechanism not in MECHANISMS:  # only then are all of them loaded, to name the nearest
        gates = [name for name in MECHANISMS if not MECHANISMS[name].abilities.queries]
        check_name("mechanism", mechanism, gates)
    if MECHANISMS[mechanism].abilities.remembers:
        raise ValueError(
            f"expected a mechanism for single pictures, got '{mechanism}', which looks back at the "
            "steps of a game: the nearest is 'transformer'"
        )
    if MECHANISMS[mechanism].abilities.queries:
        series = f"{mechanism}_glimpses"
        nearest = series if series in MECHANISMS else "mask"
        raise ValueError(
            f"expected a mechanism that asks no question, got '{mechanism}', which needs an "
            f"agent's LSTM to ask it: the nearest is '{nearest}'"
        )


class VisionAttentionTable(Table):
    """How the network attends. Keys besides this are the mechanism's own options.

    Attributes:
        mechanism: A name in `MECHANISMS`; "none" is the no-attention baseline. Mechanisms that
            need a query, as "soft" and "hard" do, are for agents.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    mechanism: str = "residual"

    @property
    def options(self) -> dict[str, Option]:
        """The mechanism's own options."""
        return dict(self.__pydantic_extra__)

    @property
    def abilities(self) -> Abilities:
        """What the mechanism can do with these options."""
        return MECHANISMS[self.mechanism].abilities_with(**self.options)

    @property
    def has_maps(self) -> bool:
        """Whether the network has attention maps."""
        return self.abilities.maps is not None

    @model_validator(mode="after")
    def _exists(self) -> Self:
        check_vision_mechanism(self.mechanism)
        check_mechanism_options(self.mechanism, self.options)
        return self


class ScheduleTable(Table):
    """The learning rate's schedule.

    Attributes:
        kind: "steps" multiplies it by `factor` at every point of `at`, "cosine" lowers it to 0
            along half a cosine (Loshchilov and Hutter, ICLR 2017), "constant" keeps it.
        at: Fractions of the epochs, ascending.
        factor: Factor of each step.
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
    """The optimizer.

    Attributes:
        name: "sgd" or "adam".
        learning_rate: Learning rate after the warm-up.
        momentum: Of SGD.
        nesterov: Whether SGD uses Nesterov momentum.
        weight_decay: L2 penalty, added to the gradient.
        warmup: Epochs over which the learning rate grows from 0.
        schedule: The schedule.
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
    """The training loss: perception branch plus `branch_coef` times attention branch."""

    branch_coef: NotNegative = 1.0


class VisionTrainTable(Table):
    """How training is run.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per batch.
        held_out: Fraction of the training images that is held out; unused where the data has its
            own validation split, or is a drive, whose recipe defines what is held out. 0 is none.
        checkpoint_every: Epochs between two checkpoints.
        checkpoint_every_minutes: An epoch that ends so many minutes after the last checkpoint is
            saved, too; 0 never is.
        keep: Number of newest checkpoints that are kept; 0 keeps all.
        n_probes: Held-out images whose maps are logged after every epoch; 0 is none.
        precision: "fp32", "bf16", or "auto": bf16 where the processor or GPU computes it natively,
            else fp32. A run's recipe has what it was resolved to.
        compile: Whether the network's parts are compiled with `torch.compile`.
    """

    # Fields that may be others when a run is resumed.
    may_change: ClassVar[tuple[str, ...]] = ("epochs", "keep", "checkpoint_every_minutes")

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    checkpoint_every: Count = 1
    checkpoint_every_minutes: Annotated[float, Field(ge=0, le=10_000)] = 5.0
    keep: Annotated[int, Field(ge=0, lt=2**53)] = 3
    n_probes: Annotated[int, Field(ge=0, le=64)] = 8
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False


class EditTable(Table):
    """How a trained network is fine-tuned with edited maps.

    Attributes:
        gamma: Weight of the distance between its maps and the edited ones (Mitsuhara et al. 2019);
            0 fine-tunes without it.
        epochs: Passes over the training images.
        learning_rate: SGD's at the start; it falls to 0 along a cosine.
    """

    gamma: NotNegative = 10.0
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    learning_rate: Positive = 0.01


class ModelRecipe(Table):
    """A network, how it is trained, and how it is fine-tuned."""

    network: VisionNetworkTable
    attention: VisionAttentionTable = VisionAttentionTable.model_validate({})
    optimizer: OptimizerTable
    loss: LossTable = LossTable()
    train: VisionTrainTable
    edit: EditTable = EditTable()


class PicturesTable(Table):
    """How images are cropped, resized and normalised.

    Attributes:
        size: Height and width; None keeps them, if all images have one size.
        short_side: The short side is resized to this before `size` is cropped from the centre.
        rows: First row kept and the row after the last, of a drive's frames as stored.
        statistics: Name of the channel means and deviations for the normalisation.
    """

    size: Size | None = None
    short_side: Side | None = None
    rows: Span | None = None
    statistics: Label = "half"


class AugmentTable(Table):
    """Random augmentation of training images.

    Attributes:
        name: "pad_crop_flip" (CIFAR's), "random_resized_crop_flip" (ImageNet's), "driving" (its
            steering changes with the frame) or "none".
        pad: Black pixels on each side, for pad_crop_flip.
        flip: Fraction of a drive's frames that are mirrored.
        brightness: Maximum relative change of a drive's frames' brightness.
        shift: Maximum horizontal shift of a drive's frames, in pixels.
        steering_per_pixel: Added to the steering per pixel of shift to the right.
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
        k: Number of consecutive parts the drive is cut into.
        fold: The part that is held out, 0 to k - 1.
        margin: Frames on both sides of it that are not trained on, because they are similar to it.
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
    """How a driver's controls are encoded.

    Attributes:
        speed_scale: The speed that networks get as 1, in the log's own unit.
        steering_bins: Number of steering classes, for a network that outputs classes.
        bins: "equal" makes them equally wide, "quantile" equally frequent.
        pedals: The target besides the steering: "throttle", 0..1, or "signed", throttle - brake in
            -1..1, so that a network with two outputs can brake.
        classes: Classes of a network that outputs classes: ranges of "steering", or CarRacing's
            five "actions", which it can drive with.
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


class BoxesTable(Table):
    """How pictures with boxes are shown to a detector, and which objects its miss rate counts.

    Attributes:
        short_side: The short side is resized to this, unless the long one would be too long.
        long_side: Maximum of the long side.
        flip: Fraction of the training images that are mirrored.
        least_height: Least height of the objects that the miss rate counts, in an image's pixels.
        small_height: Greatest height of those that are small.
    """

    short_side: Side = 800
    long_side: Side = 1333
    flip: Share = 0.5
    least_height: Positive = 50.0
    small_height: Positive = 75.0

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.short_side > self.long_side or self.least_height > self.small_height:
            raise ValueError(
                "expected a long_side and a small_height that are no less than short_side and "
                f"least_height, got {self.long_side}, {self.small_height}, {self.short_side} and "
                f"{self.least_height}"
            )
        return self


class DataRecipe(Table):
    """A data set: its kind and its preprocessing.

    Attributes:
        kind: "classes" (one of K), "attributes" (K binary labels), "driving" or "boxes" (objects).
        title: Name for display.
    """

    kind: DataKind
    title: Label
    pictures: PicturesTable = PicturesTable()
    augment: AugmentTable = AugmentTable()
    folds: FoldsTable | None = None
    controls: ControlsTable | None = None
    boxes: BoxesTable | None = None

    @model_validator(mode="after")
    def _boxes_have_what_they_need(self) -> Self:
        if (self.boxes is not None) != (self.kind == "boxes"):
            said = "a table" if self.kind == "boxes" else "no table"
            raise ValueError(f"expected {said} [boxes] with kind '{self.kind}'")
        if self.boxes and (self.pictures != PicturesTable() or self.augment.name != "none"):
            raise ValueError(
                "expected [boxes] to say how images are shown with kind 'boxes', got [pictures] or "
                "[augment] too"
            )
        return self

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
    """A vision run's resolved recipe: the recipes' names and contents, and the seed."""

    agent_name: Label
    env_name: Label
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    agent: ModelRecipe
    env: DataRecipe
