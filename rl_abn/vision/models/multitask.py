"""Many yes-or-no questions about one picture, a map each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from rl_abn.attention import Attention
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.backbone import Backbone


class MultiTaskAbn(AbnNetwork):
    """An ABN for T binary tasks, as for CelebA's 40 attributes (Fukui et al., CVPR 2019).

    One map a task. The perception branch has one set of weights and looks once a task, at the
    features that the task's own map gated; all looks are one batched pass. Of its T outputs each
    look serves its own task alone.

    `outputs` and `branch_outputs` are logits [B, T] and `map` is [B, T, h, w]. The no-attention
    baseline looks once for all tasks.

    In training the perception branch's BatchNorm sees the B * T gated features as one batch: its
    statistics are of all tasks together, where a loop over tasks would normalise each by itself.
    In evaluation both are the same.

    Args:
        backbone: What trunk it is.
        n_tasks: T.
        mechanism: A name in `MECHANISMS`, of one that needs no query.
        mechanism_options: The mechanism's own options.
        dropout: Probability of MC dropout in both branches, 0 for none.
        task: The name of a task with a map for each output.

    Raises:
        RlAbnError: If an argument is out of range, or one that the backbone does not offer.
    """

    map_per_output: ClassVar[bool] = True

    def __init__(
        self,
        backbone: Backbone,
        n_tasks: int,
        *,
        mechanism: str = "residual",
        mechanism_options: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        task: str = "multilabel",
    ) -> None:
        super().__init__(
            backbone,
            n_tasks,
            mechanism=mechanism,
            mechanism_options=mechanism_options,
            dropout=dropout,
            task=task,
        )

    def _perceive(self, features: Tensor, attention: Attention, speed: Tensor | None) -> Tensor:
        if not self.n_maps:  # the baseline has nothing to look through once a task
            return super()._perceive(features, attention, speed)
        gated = [
            self.branch.gate(features, one, *attention.context)
            for one in attention.map.split(1, dim=1)
        ]
        every = self._decide(torch.cat(gated), speed)  # [T * B, T], first task first
        own: Tensor = every.unflatten(0, (len(gated), -1)).diagonal(dim1=0, dim2=2)
        return own
