"""A detector with an attention branch on every proposal, and its no-attention baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_abn.attention import Abilities, MapOverride, Mechanism
from rl_abn.vision.detection.faster_rcnn import in_ignored
from rl_abn.vision.detection.found import Found
from rl_abn.vision.detection.proposals import ProposalAttention, attend_proposals
from rl_abn.vision.models.ready_made import load_package


class BoxTargets(NamedTuple):
    """What is right for a picture; boxes x1, y1, x2, y2 in its own pixels.

    Attributes:
        boxes: Of n objects, float32 [n, 4].
        labels: Their categories, 1 to K, int64 [n].
        ignored: Regions that teach nothing, float32 [m, 4].
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor


class Shown(NamedTuple):
    """Pictures as the trunk saw them.

    Attributes:
        features: The pyramid's levels by name.
        sizes: Height and width of each after resizing.
        original: And before.
        images: torchvision's list of them, which the proposal network takes.
    """

    features: Mapping[str, Tensor]
    sizes: list[tuple[int, int]]
    original: list[tuple[int, int]]
    images: Any


class Detector(nn.Module):
    """Faster R-CNN whose box head sees the features of every proposal gated by its map.

    The branch answers the category from the pooled features, its map gates them before the box
    head, and its loss is added (Fukui et al., CVPR 2019, on proposals). The no-attention baseline
    (mechanism "none") is torchvision's detector; the same seed gives both the same weights.

    Args:
        model: torchvision's detector.
        branch: The mechanism.
        mechanism: Its name.
    """

    def __init__(self, model: Any, branch: Mechanism, mechanism: str) -> None:
        super().__init__()
        self.model: Any = model
        self.branch = branch
        self.mechanism = mechanism

    @property
    def abilities(self) -> Abilities:
        """What the mechanism can do."""
        return self.branch.abilities

    def losses(self, images: Sequence[Tensor], targets: Sequence[BoxTargets]) -> dict[str, Tensor]:
        """Returns the losses of pictures, by name, each a scalar.

        Args:
            images: RGB, each [3, H, W] in 0..1, of any size.
            targets: What is right for each.
        """
        shown, given = self._show(images, targets)
        proposals, losses = self.model.rpn(shown.images, shown.features, given)
        proposals, labels, deltas = self._sampled(proposals, given)
        attention = self.attend(shown, proposals)
        fastrcnn_loss = load_package("torchvision.models.detection.roi_heads").fastrcnn_loss
        category, box = fastrcnn_loss(attention.logits, attention.deltas, labels, deltas)
        named = {
            "objectness": losses["loss_objectness"],
            "proposal_box": losses["loss_rpn_box_reg"],
            "perception": category,
            "box": box,
        }
        if attention.branch_logits is not None:
            named["branch"] = F.cross_entropy(attention.branch_logits, torch.cat(labels))
        if attention.own_loss is not None:
            named["mechanism"] = attention.own_loss.mean()
        return named

    @torch.no_grad()
    def detect(
        self,
        images: Sequence[Tensor],
        map_override: MapOverride | None = None,
        *,
        by_branch: bool = False,
    ) -> list[Found]:
        """Finds the objects of pictures.

        Args:
            images: RGB, each [3, H, W] in 0..1, of any size.
            map_override: Maps of all proposals [P, m, h, w] to act on, or a function of their own.
            by_branch: Whether the attention branch says the categories, of the same boxes.
        """
        shown, _ = self._show(images, None)
        proposals, _ = self.model.rpn(shown.images, shown.features)
        attention = self.attend(shown, proposals, map_override)
        logits = attention.branch_logits if by_branch else attention.logits
        assert logits is not None
        counts = [len(boxes) for boxes in proposals]
        boxes = self.model.roi_heads.box_coder.decode(attention.deltas, proposals).split(counts)
        scores = logits.softmax(dim=1).split(counts)
        branch = attention.branch_logits
        own = torch.full_like(logits, torch.nan) if branch is None else branch.softmax(dim=1)
        parts = zip(
            boxes,
            scores,
            own.split(counts),
            attention.map.split(counts),
            proposals,
            shown.sizes,
            shown.original,
            strict=True,
        )
        return [self._chosen(*part) for part in parts]

    def look(self, images: Sequence[Tensor]) -> Shown:
        """Computes the features of pictures, each [3, H, W] in 0..1."""
        return self._show(images, None)[0]

    def pool(self, shown: Shown, boxes: Sequence[Tensor]) -> Tensor:
        """Pools the features in boxes of the resized pictures, [P, C, 7, 7] of all together."""
        pooled: Tensor = self.model.roi_heads.box_roi_pool(shown.features, list(boxes), shown.sizes)
        return pooled

    def attend(
        self, shown: Shown, boxes: Sequence[Tensor], map_override: MapOverride | None = None
    ) -> ProposalAttention:
        """Says what is in boxes of the resized pictures, of all together."""
        return self.attend_pooled(self.pool(shown, boxes), map_override)

    def attend_pooled(
        self, pooled: Tensor, map_override: MapOverride | None = None
    ) -> ProposalAttention:
        """Says what pooled features [P, C, 7, 7] show."""
        heads = self.model.roi_heads
        return attend_proposals(
            pooled, self.branch, heads.box_head, heads.box_predictor, map_override
        )

    def _show(
        self, images: Sequence[Tensor], targets: Sequence[BoxTargets] | None
    ) -> tuple[Shown, list[dict[str, Tensor]] | None]:
        original = [(image.shape[1], image.shape[2]) for image in images]
        given = None if targets is None else [target._asdict() for target in targets]
        shown, given = self.model.transform(list(images), given)
        features = self.model.backbone(shown.tensors)
        if given is not None:  # torchvision resizes boxes alone
            for target, before, after in zip(given, original, shown.image_sizes, strict=True):
                target["ignored"] = resized(target["ignored"], before, after)
        return Shown(features, shown.image_sizes, original, shown), given

    def _sampled(
        self, proposals: list[Tensor], targets: Any
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Draws the proposals that are learnt from; those in ignored regions are no background."""
        heads = self.model.roi_heads
        boxes = [target["boxes"] for target in targets]
        proposals = heads.add_gt_proposals(proposals, boxes)
        matched, labels = heads.assign_targets_to_proposals(
            proposals, boxes, [target["labels"] for target in targets]
        )
        for label, of_picture, target in zip(labels, proposals, targets, strict=True):
            label[(label == 0) & in_ignored(of_picture, target["ignored"])] = -1
        chosen = heads.subsample(labels)
        proposals = [p[which] for p, which in zip(proposals, chosen, strict=True)]
        labels = [label[which] for label, which in zip(labels, chosen, strict=True)]
        right = [
            (of if len(of) else of.new_zeros(1, 4))[m[which]]
            for of, m, which in zip(boxes, matched, chosen, strict=True)
        ]
        return proposals, labels, list(heads.box_coder.encode(right, proposals))

    def _chosen(
        self,
        boxes: Tensor,
        scores: Tensor,
        branch: Tensor,
        maps: Tensor,
        proposals: Tensor,
        size: tuple[int, int],
        original: tuple[int, int],
    ) -> Found:
        """Keeps the surest of a picture's boxes, as torchvision does, and where each came from."""
        ops, heads = load_package("torchvision.ops"), self.model.roi_heads
        boxes = ops.clip_boxes_to_image(boxes, size)[:, 1:].reshape(-1, 4)
        n_categories = scores.shape[1] - 1
        scores, branch = scores[:, 1:].reshape(-1), branch[:, 1:].reshape(-1)
        numbers = torch.arange(len(scores), device=scores.device)
        sides = boxes[:, 2:] - boxes[:, :2]
        numbers = numbers[(scores > heads.score_thresh) & (sides >= 1e-2).all(dim=1)]
        labels = numbers % n_categories + 1
        kept = ops.batched_nms(boxes[numbers], scores[numbers], labels, heads.nms_thresh)
        kept = kept[: heads.detections_per_img]
        numbers, labels = numbers[kept], labels[kept]
        came_from = numbers // n_categories
        return Found(
            boxes=resized(boxes[numbers], size, original).cpu().numpy(),
            scores=scores[numbers].cpu().numpy(),
            labels=labels.cpu().numpy(),
            proposals=resized(proposals[came_from], size, original).cpu().numpy(),
            maps=maps[came_from].cpu().numpy(),
            branch_scores=branch[numbers].cpu().numpy(),
        )


def resized(boxes: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """Returns boxes [N, 4] of a picture in the pixels of the same picture of another size.

    Args:
        boxes: x1, y1, x2, y2.
        before: The picture's height and width.
        after: The other's.
    """
    rows, columns = after[0] / before[0], after[1] / before[1]
    return boxes * boxes.new_tensor([columns, rows, columns, rows])
