"""Backbones cut in two where attention attaches, and the networks made of them, by name.

A backbone is one file or class and one entry in `MODELS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes.options import check_option
from rl_abn.vision.models.abn import AbnNetwork
from rl_abn.vision.models.attach import attach_abn
from rl_abn.vision.models.backbone import Backbone
from rl_abn.vision.models.densenet import DenseNet
from rl_abn.vision.models.driving import DrivingTrunk, PilotNet
from rl_abn.vision.models.multitask import MultiTaskAbn
from rl_abn.vision.models.ready_made import TimmBackbone, TorchvisionBackbone
from rl_abn.vision.models.resnet import ResNet, ResNeXt, SeResNet
from rl_abn.vision.models.vgg import Vgg
from rl_abn.vision.models.wide_resnet import WideResNet


class Model(NamedTuple):
    """A backbone and what the name of a model says about it.

    Attributes:
        backbone: The class.
        fixed: Arguments that the name gives.
    """

    backbone: Callable[..., Backbone]
    fixed: Mapping[str, Any] = {}

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the arguments that are free to choose."""
        names = inspect.signature(self.backbone).parameters
        return tuple(name for name in names if name not in self.fixed)

    def check(self, name: str, option: str, value: object) -> None:
        """Raises RlAbnError unless the model of that name takes that option and such a value."""
        parameters = inspect.signature(self.backbone).parameters
        try:
            check_option(name, option, value, {o: parameters[o].default for o in self.options})
        except ValueError as error:
            raise RlAbnError(str(error)) from None


MODELS: Mapping[str, Model] = {
    "resnet": Model(ResNet),
    "resnet20": Model(ResNet, {"depth": 20, "block": "basic"}),
    "resnet56": Model(ResNet, {"depth": 56, "block": "basic"}),
    "resnet110": Model(ResNet, {"depth": 110, "block": "basic"}),
    "resnet164": Model(ResNet, {"depth": 164, "block": "bottleneck"}),
    "se_resnet": Model(SeResNet),
    "se_resnet20": Model(SeResNet, {"depth": 20}),
    "se_resnet56": Model(SeResNet, {"depth": 56}),
    "se_resnet110": Model(SeResNet, {"depth": 110}),
    "wrn": Model(WideResNet),
    "wrn_28_10": Model(WideResNet, {"depth": 28, "width": 10}),
    "densenet_bc": Model(DenseNet),
    "densenet_bc_100_12": Model(DenseNet, {"depth": 100, "growth": 12}),
    "resnext": Model(ResNeXt),
    "resnext29_8x64d": Model(ResNeXt, {"depth": 29, "cardinality": 8, "width": 64}),
    "vgg16_bn": Model(Vgg, {"depth": 16}),
    "vgg19_bn": Model(Vgg, {"depth": 19}),
    "torchvision": Model(TorchvisionBackbone),
    "timm": Model(TimmBackbone),
    "driving_abn": Model(DrivingTrunk),
    "pilotnet": Model(PilotNet),
}
"""By name: what `build_model` builds. Names without numbers leave them to its options."""


def build_model(
    name: str,
    *,
    n_outputs: int,
    mechanism: str = "residual",
    mechanism_options: Mapping[str, Any] | None = None,
    dropout: float = 0.0,
    task: str | None = None,
    **options: Any,
) -> AbnNetwork:
    """Builds a network by name, with new weights.

    Args:
        name: A name in `MODELS`.
        n_outputs: K, the number of classes, tasks or controls.
        mechanism: How the network attends, a name in `MECHANISMS`; "none" is the no-attention
            baseline: the same trunk without maps.
        mechanism_options: The mechanism's own options.
        dropout: Probability of MC dropout in both branches, 0 for none.
        task: A name in `rl_abn.vision.tasks.TASKS`; "multilabel" makes a `MultiTaskAbn`. None takes
            the model's default: regression for those that drive, classification for all others.
        **options: What else the model lets one choose, such as `drop` of a wide residual network,
            `depth` of "resnet", `architecture` of "timm", or `size` of frames for those that
            drive.

    Raises:
        RlAbnError: If the model, an option or a choice is unknown or out of range.
    """
    if name not in MODELS:
        raise RlAbnError(f"expected a model, got '{name}': {did_you_mean(name, MODELS)}")
    model = MODELS[name]
    for option, value in options.items():
        model.check(name, option, value)
    backbone = model.backbone(**model.fixed, **options)
    choices, task = backbone.tasks(), task or backbone.default_task
    if task not in choices:
        raise RlAbnError(f"expected a task of {list(choices)} for {name}, got '{task}'")
    network = MultiTaskAbn if choices[task].map_per_output else AbnNetwork
    return network(
        backbone,
        n_outputs,
        mechanism=mechanism,
        mechanism_options=mechanism_options,
        dropout=dropout,
        task=task,
    )


__all__ = [
    "MODELS",
    "AbnNetwork",
    "Backbone",
    "Model",
    "MultiTaskAbn",
    "attach_abn",
    "build_model",
]
