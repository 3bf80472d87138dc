"""Turns a ready-made residual network, with its trained weights, into an ABN."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.backbone import Backbone

STAGES = ("layer1", "layer2", "layer3", "layer4")
# As torchvision and timm call them; the first that is there is taken.
STEM = (("conv1",), ("bn1",), ("relu", "act1"), ("maxpool",))
POOL = ("avgpool", "global_pool")


def attach_abn(
    model: nn.Module,
    stage: str = "layer4",
    n_outputs: int | None = None,
    *,
    mechanism: str = "residual",
    dropout: float = 0.0,
) -> AbnNetwork:
    """Turns a classification network into an ABN (Fukui et al., CVPR 2019, for ImageNet).

    The attention branch starts with a copy of one stage at stride 1; what goes into that stage is
    gated. With `layer4` of a ResNet-50, 101 or 152 that is the published form: a 14x14 map for
    pictures of 224x224.

    Trained weights are kept: the model's own layers become the extractor and the perception
    branch, and the branch's copy starts with the stage's weights. They are shared with `model`,
    not copied; what is trained here is trained there.

    Args:
        model: A residual network as torchvision or timm build them: conv1, bn1, relu or act1,
            maxpool, layer1 to layer4, avgpool or global_pool, fc.
        stage: The stage that the branch copies, "layer1" to "layer4".
        n_outputs: K, the number of classes. The last layer is kept where it has as many outputs,
            or with None; else it is a new one.
        mechanism: How the map gates the features, a name in `MECHANISMS`; "none" is the model as
            it is.
        dropout: Probability of MC dropout in both branches, 0 for none.

    Raises:
        RlAbnError: If the model lacks such layers, the stage is unknown or cannot keep its size,
            or an argument is out of range.
    """
    backbone = AttachedBackbone(model, stage)
    n_outputs = backbone.fc.out_features if n_outputs is None else n_outputs
    network = AbnNetwork(backbone, n_outputs, mechanism=mechanism, dropout=dropout)
    return network.to(backbone.fc.weight.device)


class AttachedBackbone(Backbone):
    """The plan that cuts a ready-made network in two; see `attach_abn`.

    Args:
        model: A residual network as torchvision or timm build them.
        stage: The stage that the branch copies.

    Raises:
        RlAbnError: If the model lacks such layers, or the stage is unknown or cannot keep its size.
    """

    def __init__(self, model: nn.Module, stage: str) -> None:
        if stage not in STAGES:
            raise RlAbnError(f"expected a stage, got '{stage}': {did_you_mean(stage, STAGES)}")
        stem = [_layer(model, names) for names in STEM]
        stages = [_layer(model, (name,)) for name in STAGES]
        fc = _layer(model, ("fc",))
        if not isinstance(fc, nn.Linear):
            raise RlAbnError(
                f"expected a {_name(model)} whose fc is a fully connected layer, got {_name(fc)}"
            )
        cut = STAGES.index(stage)
        self.fc = fc
        self.pool = _layer(model, POOL)
        self.before = [*stem, *stages[:cut]]
        self.after = stages[cut:]
        self.features_dim = fc.in_features
        self.body = _at_stride_1(self.after[0])
        self.channels, self.body_channels = _traced_channels(self.body, stage)

    def extractor(self) -> nn.Module:
        """Gives the layers before the stage: [B, 3, H, W] -> [B, C, h, w]."""
        return nn.Sequential(*self.before)

    def branch_body(self) -> nn.Module:
        """Copies the stage at stride 1, weights too: [B, C, h, w] -> [B, body_channels, h, w]."""
        return deepcopy(self.body)

    def perception(self) -> nn.Module:
        """Gives the stage, those behind it and the pooling: [B, C, h, w] -> [B, features_dim]."""
        return nn.Sequential(*self.after, self.pool, nn.Flatten())

    def head(self, n_inputs: int, n_outputs: int) -> nn.Module:
        """Gives the last layer, or builds another where it has not as many outputs."""
        if (n_inputs, n_outputs) == (self.fc.in_features, self.fc.out_features):
            return self.fc
        return super().head(n_inputs, n_outputs)


def _layer(model: nn.Module, names: Sequence[str]) -> nn.Module:
    for name in names:
        layer = getattr(model, name, None)
        if isinstance(layer, nn.Module):
            return layer
    raise RlAbnError(
        f"expected a residual network of torchvision or timm, such as resnet50, "
        f"got {_name(model)}, which has no {' or '.join(names)}"
    )


def _at_stride_1(stage: nn.Module) -> nn.Module:
    """Copies a stage and takes every stride out of the copy; no weight changes.

    A layer with a stride and no convolution only makes smaller: average pooling in a shortcut, or
    a blur. It goes.
    """
    copy = deepcopy(stage)
    for parent in list(copy.modules()):
        for name, layer in parent.named_children():
            is_leaf = next(layer.children(), None) is None
            if not is_leaf or getattr(layer, "stride", 1) in (1, (1, 1)):
                continue
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
            else:
                setattr(parent, name, nn.Identity())
    return copy


def _traced_channels(body: nn.Module, stage: str) -> tuple[int, int]:
    """Returns the channels a stage at stride 1 takes and puts out; it has to keep a map's size."""
    first = next((layer for layer in body.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is None:
        raise RlAbnError(f"expected convolutions in {stage}, got {_name(body)} without any")
    features = torch.zeros(1, first.in_channels, 8, 8).to(first.weight)
    trial = deepcopy(body).eval()
    with torch.no_grad():
        try:
            out = trial(features).shape
        # Two ways through a block end at different sizes, or it cuts its channels in parts.
        except (RuntimeError, IndexError) as error:
            out = str(error).partition("\n")[0]
    if isinstance(out, str) or out[2:] != features.shape[2:]:
        raise RlAbnError(
            f"expected a {stage} that keeps the size of an 8x8 map at stride 1, got "
            + (out if isinstance(out, str) else f"{out[2]}x{out[3]}")
        )
    return first.in_channels, int(out[1])


def _name(module: nn.Module) -> str:
    return type(module).__name__
