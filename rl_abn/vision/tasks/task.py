"""What every task of the vision track owns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.render import Scale
from rl_abn.render.sheet import Shown
from rl_abn.vision.tasks.scores import Column, Row, Truth


class Task(ABC):
    """What the outputs of a network mean: their loss, their scores, and how they are shown.

    A task has no state. "Outputs" are one branch's, [B, K], after `activation`; "targets" are what
    the loss takes.

    Attributes:
        name: In recipes and in `outputs.json`.
        unit: What the K outputs are called in messages, a plural.
        data_kinds: The kinds of data that have targets for it.
        default_for: The kind of data whose default it is.
        columns: By name, how tables show the numbers that it scores.
        categorical: Whether outputs are logits of one of K classes. Sampling with MC dropout,
            calibration and controls as classes need that.
        drives: Whether outputs are a vehicle's controls, steering first.
        map_per_output: Whether each output has an attention map of its own; otherwise all have one.
        weighted_pooling: Whether a branch pools its evidence with learned weights, because outputs
            depend on where something is (Mori et al., IV 2019); otherwise it averages.
        has_sheet: Whether pictures are shown on a sheet, right ones and wrong ones.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    data_kinds: ClassVar[tuple[str, ...]]
    default_for: ClassVar[str | None] = None
    columns: ClassVar[Mapping[str, Column]]
    categorical: ClassVar[bool] = False
    drives: ClassVar[bool] = False
    map_per_output: ClassVar[bool] = False
    weighted_pooling: ClassVar[bool] = False
    has_sheet: ClassVar[bool] = True

    def n_maps(self, n_outputs: int) -> int:
        """Returns the number of attention maps of a network with K outputs."""
        return n_outputs if self.map_per_output else 1

    def check_names(self, names: Sequence[str]) -> None:  # noqa: B027 - most take any
        """Raises ValueError unless the outputs can have these names."""

    def activation(self, logits: Tensor) -> Tensor:
        """Turns what a branch computes into its outputs, of the same shape."""
        return logits

    @abstractmethod
    def loss(self, outputs: Float[Tensor, "B K"], targets: Shaped[Tensor, "B ..."]) -> Tensor:
        """Returns the mean loss of a branch's outputs, a scalar."""

    def right(
        self, outputs: Float[Tensor, "B K"], targets: Shaped[Tensor, "B ..."]
    ) -> Bool[Tensor, "B ..."]:
        """Returns which outputs are right, [B] or [B, K].

        Raises:
            NotImplementedError: If the task knows only near and far.
        """
        raise NotImplementedError(f"no output of '{self.name}' is right or wrong")

    def metrics(
        self, outputs: Float[Tensor, "B K"], targets: Shaped[Tensor, "B ..."]
    ) -> dict[str, Tensor]:
        """Returns what is logged in training, by name: sums over the B examples, each a scalar."""
        right = self.right(outputs, targets).double()
        return {"accuracy": right.sum() / max(right[0].numel(), 1)}

    def errors(
        self, outputs: Float[Tensor, "N K"], targets: Shaped[Tensor, "N ..."]
    ) -> Float[Tensor, " N"]:
        """Returns how wrong each example is, from 0, to list the worst ones first."""
        right = self.right(outputs, targets)
        return 1.0 - right.float().reshape(len(right), -1).mean(dim=1)

    def mean_score(self, outputs: Float[Tensor, "N K"], targets: Shaped[Tensor, "N ..."]) -> float:
        """Returns one number for N examples: the share that is right, or a mean error."""
        return float(self.right(outputs, targets).float().mean())

    @abstractmethod
    def score(self, name: str, outputs: Float[Tensor, "N K"], truth: Truth) -> Row:
        """Scores outputs with 95% intervals.

        Args:
            name: What the row is called.
            outputs: [N, K].
            truth: What is right.
        """

    def score_probabilities(
        self, name: str, probabilities: Float[Tensor, "N K"], truth: Truth
    ) -> Row:
        """Scores probabilities, such as means over samples of MC dropout, [N, K].

        Raises:
            NotImplementedError: If the task is not categorical.
        """
        raise NotImplementedError(f"'{self.name}' has no probabilities of classes")

    @abstractmethod
    def beside(
        self, row: Row, outputs: Float[Tensor, "N K"], intact: Float[Tensor, "N K"], truth: Truth
    ) -> Row:
        """Returns a row with its difference to the intact network's, example by example.

        Args:
            row: The row of an ablated or fine-tuned network.
            outputs: That network's, [N, K].
            intact: The intact network's, [N, K].
            truth: What is right.
        """

    @abstractmethod
    def describe(self, outputs: Float[Tensor, " K"], target: Tensor, names: Sequence[str]) -> str:
        """Returns a line on one example: what the network says, and what is right.

        Args:
            outputs: Of one example, [K].
            target: What is right for it.
            names: Of the K outputs.
        """

    def examples(
        self,
        frames: Sequence[UInt8[np.ndarray, "H W 3"]],
        maps: Float[Tensor, "B m h w"],
        outputs: Float[Tensor, "B K"],
        targets: Shaped[Tensor, "B ..."],
        names: Sequence[str],
        shown: Sequence[int],
    ) -> Iterator[Any]:
        """Yields the examples of a sheet, each a `Shown`.

        Args:
            frames: The pictures, B of uint8 [H, W, 3].
            maps: Their attention maps as they are drawn, on the CPU.
            outputs: The network's, on the CPU.
            targets: What is right.
            names: Of the K outputs.
            shown: Which outputs are shown, where each has a map of its own.

        Raises:
            RlAbnError: If the task has no sheet.
        """
        raise RlAbnError(f"expected pictures that are right or wrong, got {self.unit}")

    def draw(
        self, examples: Sequence[Shown], title: str, scale: Scale
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws a sheet of what `examples` yields.

        Raises:
            RlAbnError: If the task has no sheet.
        """
        raise RlAbnError(f"expected pictures that are right or wrong, got {self.unit}")
