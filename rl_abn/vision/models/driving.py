"""Networks that drive: a regression ABN for frames of one size, and the network before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import nn

from rl_abn.errors import RlAbnError
from rl_abn.vision.models.backbone import Backbone, he_init
from rl_abn.vision.tasks import Task


class Convolution(NamedTuple):
    """One layer of PilotNet's trunk: square kernel, no padding."""

    n_out: int
    kernel: int
    stride: int


CONVOLUTIONS = (
    Convolution(24, 5, 2),
    Convolution(36, 5, 2),
    Convolution(48, 5, 2),
    Convolution(64, 3, 1),
    Convolution(64, 3, 1),
)
N_BEFORE = 2
HIDDEN = (100, 50, 10)


class PilotNet(Backbone):
    """The network of Bojarski et al. (2016): five convolutions, three fully connected layers.

    It has no attention, no BatchNorm and no speed: a baseline. Its outputs go through tanh,
    as all controls here do; the published one outputs the inverse turning radius as it is.

    Args:
        size: H and W of the frames; published for 66x200.

    Raises:
        RlAbnError: If frames are too small for the layers.
    """

    default_task: ClassVar[str] = "regression"
    attends: ClassVar[bool] = False
    normalised: ClassVar[bool] = False

    def __init__(self, size: Sequence[int] = (66, 200)) -> None:
        if len(size) != 2 or not all(isinstance(side, int) for side in size):
            raise RlAbnError(f"expected a size of [height, width], got {list(size)}")
        self.size = (size[0], size[1])
        self.map_size = _size_after(self.size, CONVOLUTIONS[:N_BEFORE])
        height, width = _size_after(self.size, CONVOLUTIONS)
        if min(height, width) < 1:
            raise RlAbnError(
                f"expected frames of at least {SMALLEST}x{SMALLEST} (height x width), "
                f"got {size[0]}x{size[1]}"
            )
        self.channels = CONVOLUTIONS[N_BEFORE - 1].n_out
        self.body_channels = CONVOLUTIONS[-1].n_out
        self.features_dim = self.body_channels * height * width

    def suits(self, task: Task) -> bool:
        """Says whether a network for a task can be built of it: one that needs a single map."""
        return not task.map_per_output and super().suits(task)

    def extractor(self) -> nn.Module:
        """Builds two convolutions: [B, 3, H, W] -> [B, 36, h, w]."""
        return self._layers(range(N_BEFORE))

    def perception(self) -> nn.Module:
        """Builds the other three and no pooling: [B, 36, h, w] -> [B, features_dim]."""
        return self._layers(range(N_BEFORE, len(CONVOLUTIONS))).append(nn.Flatten())

    def head(self, n_inputs: int, n_outputs: int) -> nn.Module:
        """Builds the fully connected layers."""
        layers: list[nn.Module] = []
        for n_hidden in HIDDEN:
            layer = nn.Linear(n_inputs, n_hidden)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU(inplace=True)]
            n_inputs = n_hidden
        return nn.Sequential(*layers, super().head(n_inputs, n_outputs))

    def _layers(self, numbers: range, *, same_size: bool = False) -> nn.Sequential:
        layers: list[nn.Module] = []
        for number in numbers:
            n_in = CONVOLUTIONS[number - 1].n_out if number else 3
            n_out, kernel, stride = CONVOLUTIONS[number]
            if same_size:
                convolution = nn.Conv2d(
                    n_in, n_out, kernel, padding=kernel // 2, bias=not self.normalised
                )
            else:
                convolution = nn.Conv2d(n_in, n_out, kernel, stride, bias=not self.normalised)
            layers.append(convolution)
            if self.normalised:
                layers.append(nn.BatchNorm2d(n_out))
            layers.append(nn.ReLU(inplace=True))
        return he_init(nn.Sequential(*layers))


class DrivingTrunk(PilotNet):
    """PilotNet's layers with BatchNorm, cut after the second convolution (Mori et al., IV 2019).

    The map is 14x47 for frames of 66x200. The branch copies the three convolutions behind the cut
    at stride 1, padded. The vehicle's speed enters the first fully connected layer of the
    perception branch and nothing else, so that maps speak of pictures alone.

    Args:
        size: H and W of the frames.

    Raises:
        RlAbnError: If frames are too small for the layers.
    """

    takes_speed: ClassVar[bool] = True
    attends: ClassVar[bool] = True
    normalised: ClassVar[bool] = True

    def branch_body(self) -> nn.Module:
        """Builds the last three convolutions at stride 1: [B, 36, h, w] -> [B, 64, h, w]."""
        return self._layers(range(N_BEFORE, len(CONVOLUTIONS)), same_size=True)


def _size_after(size: tuple[int, int], convolutions: Sequence[Convolution]) -> tuple[int, int]:
    height, width = size
    for _, kernel, stride in convolutions:
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    return height, width


SMALLEST = next(n for n in range(1, 1000) if min(_size_after((n, n), CONVOLUTIONS)) >= 1)
