"""Faster R-CNN on a feature pyramid, put together of torchvision's parts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes.vision import BoxesTable
from rl_abn.vision.detection.proposals import POOLED
from rl_abn.vision.detection.settings import DetectorSettings
from rl_abn.vision.models.ready_made import load_package, one_line

_IGNORED = 0.5  # share of an anchor or a proposal in an ignored region from which it is ignored
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as all weights have


def make_faster_rcnn(
    settings: DetectorSettings, n_categories: int, shown: BoxesTable, *, pretrained: bool
) -> nn.Module:
    """Builds torchvision's detector with its names, so that its weights fit.

    Args:
        settings: Its options.
        n_categories: K.
        shown: How pictures are resized.
        pretrained: Whether the weights that the settings name are loaded, from the network.

    Raises:
        RlAbnError: If torchvision is missing or was made for another torch, the architecture is no
            residual network of its, or the weights cannot be had.
    """
    detection = load_package("torchvision.models.detection")
    faster_rcnn, utils = detection.faster_rcnn, detection.backbone_utils
    roi_heads, transform = detection.roi_heads, detection.transform
    poolers = load_package("torchvision.ops")
    trunk = _make_trunk(settings, pretrained=pretrained and settings.pretrained == "backbone")
    width = trunk.inplanes // 8
    backbone = utils.BackboneWithFPN(
        trunk,
        {f"layer{i + 1}": str(i) for i in range(4)},
        [width * 2**i for i in range(4)],
        settings.channels,
        extra_blocks=poolers.feature_pyramid_network.LastLevelMaxPool(),
    )
    anchors = detection.anchor_utils.AnchorGenerator(
        tuple((side,) for side in settings.anchors), ((0.5, 1.0, 2.0),) * len(settings.anchors)
    )
    rpn = _ignoring(detection.rpn.RegionProposalNetwork)(
        anchors,
        detection.rpn.RPNHead(settings.channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 2000, "testing": 1000},
        post_nms_top_n={"training": 2000, "testing": settings.proposals},
        nms_thresh=0.7,
    )
    heads = roi_heads.RoIHeads(
        poolers.MultiScaleRoIAlign(["0", "1", "2", "3"], POOLED, sampling_ratio=2),
        faster_rcnn.TwoMLPHead(settings.channels * POOLED**2, settings.hidden),
        faster_rcnn.FastRCNNPredictor(settings.hidden, 1 + n_categories),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=settings.sampled,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
    )
    resize = transform.GeneralizedRCNNTransform(
        shown.short_side, shown.long_side, list(_MEAN), list(_DEVIATION)
    )
    model: nn.Module = detection.generalized_rcnn.GeneralizedRCNN(backbone, rpn, heads, resize)
    if pretrained and settings.pretrained == "coco":
        _load_coco(model, detection)
    return model


def in_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Says which boxes [N, 4] lie by half or more in an ignored region of [M, 4], bool [N]."""
    if not len(ignored):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = boxes[:, None, :2].maximum(ignored[None, :, :2])
    high = boxes[:, None, 2:].minimum(ignored[None, :, 2:])
    common = (high - low).clamp_min(0).prod(dim=2)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(dim=1).clamp_min(1e-6)
    inside: Tensor = (common / area[:, None] >= _IGNORED).any(dim=1)
    return inside


def _ignoring(base: Any) -> Any:
    """Returns a proposal network that learns nothing from anchors in ignored regions."""

    class IgnoringProposalNetwork(base):
        def assign_targets_to_anchors(self, anchors: Any, targets: Any) -> Any:
            labels, matched = super().assign_targets_to_anchors(anchors, targets)
            for label, boxes, target in zip(labels, anchors, targets, strict=True):
                label[(label == 0) & in_ignored(boxes, target["ignored"])] = -1.0
            return labels, matched

    return IgnoringProposalNetwork


def _make_trunk(settings: DetectorSettings, *, pretrained: bool) -> Any:
    resnet = load_package("torchvision.models.resnet")
    models = load_package("torchvision.models")
    names = [name for name in models.list_models(module=models) if name in vars(resnet)]
    if settings.architecture not in names:
        raise RlAbnError(
            "network.architecture: expected a residual network of torchvision, got "
            f"'{settings.architecture}': {did_you_mean(settings.architecture, names)}"
        )
    norm: Any = nn.BatchNorm2d
    if settings.pretrained != "none":
        norm = load_package("torchvision.ops").FrozenBatchNorm2d
    if settings.pretrained == "coco":
        norm = partial(norm, eps=0.0)  # as torchvision has it for these weights alone
    trunk = models.get_model(settings.architecture, weights=None, norm_layer=norm)
    if pretrained:
        with one_line(settings.architecture, "torchvision", weights=True):
            weights = models.get_model_weights(settings.architecture).DEFAULT
            # The files are pickles, of which torchvision by itself would run what they name.
            trunk.load_state_dict(weights.get_state_dict(check_hash=True, weights_only=True))
    return trunk


def _load_coco(model: nn.Module, detection: Any) -> None:
    with one_line("fasterrcnn_resnet50_fpn", "torchvision", weights=True):
        weights = detection.FasterRCNN_ResNet50_FPN_Weights.DEFAULT
        state = weights.get_state_dict(check_hash=True, weights_only=True)
    own = model.state_dict()  # the last layer's is of the set's own categories
    kept = {n: t for n, t in state.items() if "box_predictor" not in n}
    missing = [n for n, t in kept.items() if n not in own or own[n].shape != t.shape]
    if missing:
        raise RlAbnError(f"expected torchvision's weights to fit its detector, got {missing[0]}")
    model.load_state_dict({**own, **kept})
