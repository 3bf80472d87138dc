"""The one place that decides device, dtype and memory layout."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """How a network computes.

    Attributes:
        precision: "fp32" is the deterministic default; "bf16" runs convolutions and matrix
            products in bfloat16 under autocast and keeps weights and losses in fp32.
        channels_last: Whether images lie in memory as NHWC. About twice as fast for
            convolutions on a CPU.
    """

    precision: Precision = "fp32"
    channels_last: bool = True

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of images and convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def prepare(self, module: ModuleT) -> ModuleT:
        """Lays a module's weights out in the memory format; in place."""
        return module.to(memory_format=self.memory_format)  # type: ignore[call-overload,no-any-return]

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Returns the context a forward pass runs in."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)

    def images(
        self, pixels: UInt8[Tensor, "B C H W"] | Float[Tensor, "B C H W"]
    ) -> Float[Tensor, "B C H W"]:
        """Turns pixels 0..255 into network input 0..1, in this layout and precision."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        images = pixels.to(dtype).contiguous(memory_format=self.memory_format)
        return images.mul_(1 / 255) if pixels.dtype != dtype else images / 255


def choose_device(name: str) -> torch.device:
    """Returns the device of a name, "auto" being the GPU where there is one.

    Raises:
        ValueError: If the name means no device, or one this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, got '{name}'")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count() or "no"
        raise ValueError(
            f"expected a device of this machine, got '{name}': {seen} CUDA GPU visible"
        )
    return torch.device(name)
