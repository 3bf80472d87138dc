"""What every backbone offers: a trunk cut in two where the attention branch attaches."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from torch import nn

from rl_abn.vision.tasks import TASKS, Task

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Backbone:
    """A plan: its parts are built by whoever needs them, each with weights of its own.

    Attributes:
        channels: C, channels of the features where attention attaches.
        body_channels: Channels of what the branch's body puts out.
        features_dim: D, the size of what the perception stage puts out.
        size: H and W of the pictures, where only one size will do; None takes any.
        map_size: h and w of the map, where only one size will do.
        default_task: The name of the task it is for, unless another is chosen.
        takes_speed: Whether a vehicle's speed enters the first fully connected layer.
        attends: Whether an attention branch can attach.
    """

    channels: int
    body_channels: int
    features_dim: int
    size: tuple[int, int] | None = None
    map_size: tuple[int, int] | None = None
    default_task: ClassVar[str] = "classification"
    takes_speed: ClassVar[bool] = False
    attends: ClassVar[bool] = True

    def suits(self, task: Task) -> bool:
        """Says whether a network for a task can be built of it."""
        # Weighted pooling has a weight for each location, so maps must have one size.
        return not task.weighted_pooling or self.map_size is not None

    def tasks(self) -> dict[str, Task]:
        """Returns the tasks it can be built for by name, its default first."""
        fits = [name for name in TASKS if self.suits(TASKS[name])]
        return {name: TASKS[name] for name in sorted(fits, key=lambda n: n != self.default_task)}

    def extractor(self) -> nn.Module:
        """Builds the layers before the split: [B, 3, H, W] -> [B, C, h, w]."""
        raise NotImplementedError

    def branch_body(self) -> nn.Module:
        """Builds a copy of the last stage at stride 1: [B, C, h, w] -> [B, body_channels, h, w]."""
        raise NotImplementedError

    def perception(self) -> nn.Module:
        """Builds the last stage and what pools it: [B, C, h, w] -> [B, features_dim]."""
        raise NotImplementedError

    def head(self, n_inputs: int, n_outputs: int) -> nn.Module:
        """Builds the fully connected layers.

        Args:
            n_inputs: features_dim, and 1 more where a speed enters.
            n_outputs: K, the number of outputs.
        """
        head = nn.Linear(n_inputs, n_outputs)
        nn.init.zeros_(head.bias)
        return head


def pooled(*layers: nn.Module) -> nn.Sequential:
    """Puts global average pooling behind layers: [B, C, h, w] -> [B, D]."""
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def he_init(module: ModuleT) -> ModuleT:
    """Initialises convolutions as He et al. (ICCV 2015) for ReLU, by fan-out; in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
