"""T yes-or-no questions about one picture, each with an attention map of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from rl_abn.estimates import Estimate
from rl_abn.render import Scale
from rl_abn.render.sheet import Shown
from rl_abn.render.task_sheet import TaskAnswer, TaskExample, draw_task_sheet
from rl_abn.vision.tasks.scores import Column, Row, Truth, mean_over_pictures
from rl_abn.vision.tasks.task import Task


class Multilabel(Task):
    """Outputs are logits [B, T] of T labels, targets are 0 or 1, float32 [B, T]."""

    name = "multilabel"
    unit = "tasks"
    data_kinds = ("attributes",)
    default_for = "attributes"
    map_per_output = True
    columns: ClassVar[Mapping[str, Column]] = {
        "accuracy": Column("accuracy, %", share=True, brief=True),
        "worst_task": Column("worst task, %", share=True),
    }

    def loss(self, outputs: Float[Tensor, "B T"], targets: Float[Tensor, "B T"]) -> Tensor:
        """Returns the binary cross-entropy."""
        return F.binary_cross_entropy_with_logits(outputs, targets)

    def right(
        self, outputs: Float[Tensor, "B T"], targets: Float[Tensor, "B T"]
    ) -> Bool[Tensor, "B T"]:
        """Returns where a logit has the sign of its label, [B, T]."""
        return (outputs > 0) == (targets > 0.5)

    def score(self, name: str, outputs: Float[Tensor, "N T"], truth: Truth) -> Row:
        """Scores the accuracy over all labels, with an interval over pictures, and the worst."""
        right = self.right(outputs, truth.targets).double()
        worst = Estimate(float(right.mean(dim=0).min()), None, None)
        accuracy = mean_over_pictures(right.mean(dim=1))
        return Row(name, {"accuracy": accuracy, "worst_task": worst})

    def beside(
        self, row: Row, outputs: Float[Tensor, "N T"], intact: Float[Tensor, "N T"], truth: Truth
    ) -> Row:
        """Returns a row with its difference in accuracy, and the share of equal predictions."""
        was, now = (self.right(o, truth.targets).double() for o in (intact, outputs))
        same = (outputs > 0) == (intact > 0)
        difference = mean_over_pictures((now - was).mean(dim=1))
        return row._replace(difference=difference, stayed=float(same.double().mean()))

    def describe(
        self, outputs: Float[Tensor, " T"], target: Float[Tensor, " T"], names: Sequence[str]
    ) -> str:
        """Returns which labels are wrong."""
        wrong = (~self.right(outputs, target)).nonzero()[:, 0].tolist()
        return f"wrong: {', '.join(names[t] for t in wrong)}" if wrong else "all right"

    def examples(
        self,
        frames: Sequence[UInt8[np.ndarray, "H W 3"]],
        maps: Float[Tensor, "B m h w"],
        outputs: Float[Tensor, "B T"],
        targets: Float[Tensor, "B T"],
        names: Sequence[str],
        shown: Sequence[int],
    ) -> Iterator[TaskExample]:
        """Yields pictures with the maps and predictions of the labels that are shown."""
        says = (outputs > 0).tolist()
        sure = outputs.abs().sigmoid().tolist()  # of the prediction, be that yes or no
        wanted = (targets > 0.5).tolist()
        # A no-attention baseline has no maps to choose from.
        chosen = maps[:, list(shown) if maps.shape[1] else []].numpy()
        for i, frame in enumerate(frames):
            yield TaskExample(
                frame=frame,
                maps=chosen[i],
                answers=[TaskAnswer(names[t], says[i][t], sure[i][t], wanted[i][t]) for t in shown],
            )

    def draw(
        self, examples: Sequence[Shown], title: str, scale: Scale
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws a sheet of pictures under a map for each label."""
        return draw_task_sheet(examples, title, scale)  # type: ignore[arg-type]
