"""The objects of pictures as a detector's heads see them: pooled features in given boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_abn.attention import Abilities, MapOverride
from rl_abn.explain.subject import Answer, Subject
from rl_abn.vision.detection.build import TrainedDetector
from rl_abn.vision.detection.data import BoxedExamples
from rl_abn.vision.detection.detector import Detector, resized
from rl_abn.vision.detection.predict import BATCH
from rl_abn.vision.detection.proposals import POOLED, ProposalAttention, attend_proposals


class ProposalHeads(nn.Module):
    """What a detector does with pooled features: branch, gate, box head, predictor.

    Args:
        detector: Whose; its weights are shared, not copied.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        heads = detector.model.roi_heads
        # In the order in which they see the features: weights are drawn anew the last ones first.
        self.branch = detector.branch
        self.head: nn.Module = heads.box_head
        self.predictor: nn.Module = heads.box_predictor

    @property
    def abilities(self) -> Abilities:
        """What the mechanism can do."""
        return self.branch.abilities

    def forward(
        self, features: Float[Tensor, "P C h w"], map_override: MapOverride | None = None
    ) -> ProposalAttention:
        """Says what pooled features show."""
        return attend_proposals(features, self.branch, self.head, self.predictor, map_override)


def pool_boxes(
    trained: TrainedDetector,
    examples: BoxedExamples,
    boxes: Mapping[int, Float[np.ndarray, "n 4"]],
    change: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "P C 7 7"]:
    """Pools the features in boxes of pictures.

    Args:
        trained: The detector.
        examples: The pictures.
        boxes: By a picture's number, boxes in its own pixels; in the order of the result.
        change: What is done to each picture first, [3, H, W] in 0..1; None is nothing.
    """
    detector, numbers = trained.detector, list(boxes)
    pooled = []
    with torch.no_grad():
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            images, _ = examples.batch(some)
            shown = detector.look(images if change is None else list(map(change, images)))
            asked = [
                resized(torch.from_numpy(boxes[number]).to(trained.device), before, after)
                for number, before, after in zip(some, shown.original, shown.sizes, strict=True)
            ]
            pooled.append(detector.pool(shown, asked))
    return torch.cat(pooled)


def heads_subject(heads: ProposalHeads, features: Float[Tensor, "P C 7 7"]) -> Subject:
    """Returns pooled features and what is said of them, as `rl_abn.explain` takes it.

    What is explained is the category, or the background, that the box head is surest of.

    Args:
        heads: In evaluation mode.
        features: Of P boxes.
    """
    abilities = heads.abilities

    def ask(some: Tensor, numbers: Tensor) -> Answer:
        del numbers
        said = heads(some)
        return Answer(
            said.logits,
            None,
            said.map if abilities.maps == "spatial" else None,
            said.evidence if abilities.answers else None,
        )

    def rebuilt(module: nn.Module) -> Subject:
        assert isinstance(module, ProposalHeads)
        return heads_subject(module, features)

    return Subject(
        images=features,
        ask=ask,
        module=heads,
        grid=(POOLED, POOLED),
        features=lambda some, _: some,
        ask_features=ask,
        rebuilt=rebuilt,
    )
