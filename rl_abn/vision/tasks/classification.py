"""One of K classes; also a drive, where the classes stand for steering or for actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from rl_abn.estimates import Estimate
from rl_abn.render import Scale
from rl_abn.render.sheet import Example, Shown, draw_sheet
from rl_abn.vision.tasks.controls import CONTROL_COLUMNS, score_controls
from rl_abn.vision.tasks.metrics import accuracy, reliability, top_k_correct
from rl_abn.vision.tasks.scores import Column, Row, Truth, mean_over_pictures, softmax
from rl_abn.vision.tasks.task import Task

TOP_5_FROM = 10
"""The number of classes from which top-5 accuracy is scored too."""


class Classification(Task):
    """Outputs are logits [B, K] of one of K classes, targets are classes, int64 [B]."""

    name = "classification"
    unit = "classes"
    data_kinds = ("classes", "driving")
    default_for = "classes"
    categorical = True
    columns: ClassVar[Mapping[str, Column]] = {
        "top_1": Column("top-1, %", share=True, brief=True),
        "top_5": Column("top-5, %", share=True),
        "ece": Column("ECE"),
        **CONTROL_COLUMNS,
    }

    def loss(self, outputs: Float[Tensor, "B K"], targets: Int64[Tensor, " B"]) -> Tensor:
        """Returns the cross-entropy."""
        return F.cross_entropy(outputs, targets)

    def right(
        self, outputs: Float[Tensor, "B K"], targets: Int64[Tensor, " B"]
    ) -> Bool[Tensor, " B"]:
        """Returns where the highest logit is the right class's, [B]."""
        return top_k_correct(outputs, targets)

    def score(self, name: str, outputs: Float[Tensor, "N K"], truth: Truth) -> Row:
        """Scores logits: top-1 and, from ten classes on, top-5 accuracy, and the ECE."""
        return self.score_probabilities(name, softmax(outputs), truth)

    def score_probabilities(
        self, name: str, probabilities: Float[Tensor, "N K"], truth: Truth
    ) -> Row:
        """Scores probabilities [N, K]; of classes of steering by their steering errors too."""
        numbers = {"top_1": accuracy(top_k_correct(probabilities, truth.targets))}
        if probabilities.shape[1] >= TOP_5_FROM:
            numbers["top_5"] = accuracy(top_k_correct(probabilities, truth.targets, 5))
        error = reliability(probabilities, truth.targets).expected_error
        numbers["ece"] = Estimate(error, None, None)
        if truth.bins is not None:
            steering = truth.bins.steering(probabilities.argmax(dim=1))[:, None]
            numbers |= score_controls(name, steering, *truth.drive).numbers
        return Row(name, numbers)

    def beside(
        self, row: Row, outputs: Float[Tensor, "N K"], intact: Float[Tensor, "N K"], truth: Truth
    ) -> Row:
        """Returns a row with its difference in accuracy, and the share of equal predictions."""
        was, now = (self.right(o, truth.targets).double() for o in (intact, outputs))
        same = outputs.argmax(dim=1) == intact.argmax(dim=1)
        return row._replace(
            difference=mean_over_pictures(now - was), stayed=float(same.double().mean())
        )

    def describe(
        self, outputs: Float[Tensor, " K"], target: Int64[Tensor, ""], names: Sequence[str]
    ) -> str:
        """Returns the predicted class and, if that is another, the right one."""
        predicted, right = names[int(outputs.argmax())], names[int(target)]
        return f"{predicted} (right)" if predicted == right else f"{predicted} (it is {right})"

    def examples(
        self,
        frames: Sequence[UInt8[np.ndarray, "H W 3"]],
        maps: Float[Tensor, "B m h w"],
        outputs: Float[Tensor, "B K"],
        targets: Int64[Tensor, " B"],
        names: Sequence[str],
        shown: Sequence[int],
    ) -> Iterator[Example]:
        """Yields pictures with the predicted and the right class."""
        probabilities = outputs.softmax(1)
        for i, target in enumerate(targets.tolist()):
            predicted = int(probabilities[i].argmax())
            yield Example(
                frame=frames[i],
                maps=maps[i].numpy(),
                answer=names[predicted],
                probability=float(probabilities[i, predicted]),
                target=names[target],
            )

    def draw(
        self, examples: Sequence[Shown], title: str, scale: Scale
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws a sheet of pictures with their maps and classes."""
        return draw_sheet(examples, title, scale)  # type: ignore[arg-type]
