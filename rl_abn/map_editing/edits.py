"""Edits that a person made to a network's attention maps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from rl_abn.errors import RlAbnError, did_you_mean, printable

BANDWIDTH = 4.0
"""Default standard deviation of a click's kernel, in pixels."""
_LEAST = 1e-12


class Box(NamedTuple):
    """A rectangle [left, right) x [top, bottom) of an image, in pixels of the network's input."""

    left: float
    top: float
    right: float
    bottom: float


class Click(NamedTuple):
    """A point of an image that a person clicked: column and row in pixels of the input."""

    x: float
    y: float


@dataclass(frozen=True, eq=False)
class Edit:
    """The edit of one image's maps.

    It starts from the given map, else from the density of the clicks, else from the network's own
    map. Then the `remove` boxes are set to 0, and after them the `add` boxes to 1. Of a network
    whose maps sum to 1 each is divided by its sum, before the boxes and after them.

    Attributes:
        map: In 0..1, float32 [1, h, w], or [m, h, w] with one for each of the network's maps; of
            any resolution, and for maps that sum to 1 of any scale. None if no map is given.
        clicks: Points of high attention.
        remove: Boxes set to 0.
        add: Boxes set to 1.
        observation: What the network saw, [C, H, W], of an edit that brings it along; None for a
            picture that is in the data set, or kept by the run.
    """

    map: Float32[np.ndarray, "m h w"] | None = None
    clicks: tuple[Click, ...] = ()
    remove: tuple[Box, ...] = ()
    add: tuple[Box, ...] = ()
    observation: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Edits:
    """Edits of some images of a data set.

    Attributes:
        of: Edits by the image's name.
        bandwidth: Standard deviation of a click's Gaussian kernel, in pixels.
        place: The file's name in messages.
    """

    of: Mapping[str, Edit] = field(default_factory=dict)
    bandwidth: float = BANDWIDTH
    place: str = "edits"

    @property
    def digest(self) -> str:
        """SHA-256 of all edits, in hexadecimal."""
        everything = hashlib.sha256(repr(self.bandwidth).encode())
        for name, edit in self.of.items():
            everything.update(repr((name, edit.clicks, edit.remove, edit.add)).encode())
            for array in (edit.map, edit.observation):
                if array is not None:
                    everything.update(repr(array.shape).encode() + array.tobytes())
        return everything.hexdigest()

    def numbers(self, names: Sequence[str]) -> Int64[Tensor, " E"]:
        """Returns the indices of the edited images among a data set's `names`, in the edits' order.

        Raises:
            RlAbnError: If an image is not in the data set; with the nearest name.
        """
        number = {name: i for i, name in enumerate(names)}
        missing = [name for name in self.of if name not in number]
        if missing:
            others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            hint = did_you_mean(missing[0], number, "there is no name like it")
            raise RlAbnError(
                f"{self.place}: expected pictures of the set, got '{printable(missing[0])}'"
                f"{others}: {printable(hint)}"
            )
        return torch.tensor([number[name] for name in self.of], dtype=torch.int64)

    def apply(
        self, own: Float[Tensor, "E m h w"], size: tuple[int, int], *, sums_to_one: bool = False
    ) -> Float[Tensor, "E m h w"]:
        """Returns the edited maps M' of the edited images, in the edits' order.

        Args:
            own: The network's own maps.
            size: Height and width of the network's input.
            sums_to_one: Whether each of the network's maps sums to 1; edited ones then do too.

        Raises:
            RlAbnError: If the number of given maps does not fit, or a box or click lies outside.
        """
        edited = []
        for (name, edit), maps in zip(self.of.items(), own, strict=True):
            try:
                edited.append(_edited(edit, maps, size, self.bandwidth, sums_to_one))
            except ValueError as error:
                raise RlAbnError(f"{self.place}: '{printable(name)}': {error}") from None
        return torch.stack(edited) if edited else own


def shared_out(maps: Float[Tensor, "*m h w"]) -> Float[Tensor, "*m h w"]:
    """Returns maps from 0, each divided by its sum; one that is 0 everywhere stays as it is."""
    total = maps.sum(dim=(-2, -1), keepdim=True)
    return torch.where(total > _LEAST, maps / total.clamp_min(_LEAST), maps)


def _edited(
    edit: Edit,
    own: Float[Tensor, "m h w"],
    size: tuple[int, int],
    bandwidth: float,
    sums_to_one: bool,
) -> Float[Tensor, "m h w"]:
    edited = own.float()
    if edit.map is not None:
        edited = _resized(torch.from_numpy(edit.map), own)
    elif edit.clicks:
        edited = density(edit.clicks, size, (own.shape[1], own.shape[2]), bandwidth).to(own.device)
    if sums_to_one:
        edited = shared_out(edited)
    for boxes, value in ((edit.remove, 0.0), (edit.add, 1.0)):
        for box in boxes:
            share = covered(box, size, (own.shape[1], own.shape[2])).to(own.device)
            edited = edited + (value - edited) * share
    return (shared_out(edited) if sums_to_one else edited).expand_as(own)


def covered(box: Box, size: tuple[int, int], map_size: tuple[int, int]) -> Float[Tensor, "h w"]:
    """Returns the fraction of each map cell that a box covers, 0..1.

    `size` and `map_size` are height and width of the image and of the map.

    Raises:
        ValueError: If the box lies outside the image.
    """
    inside = box.left < min(box.right, size[1]) and box.top < min(box.bottom, size[0])
    if not inside or min(box.right, box.bottom) <= 0:
        raise ValueError(
            f"expected a box [left, top, right, bottom] in a picture of {size[0]}x{size[1]} "
            f"(height x width), got {[round(side, 3) for side in box]}"
        )
    rows = _overlap(box.top, box.bottom, size[0], map_size[0])
    columns = _overlap(box.left, box.right, size[1], map_size[1])
    return rows[:, None] * columns


def density(
    clicks: Sequence[Click], size: tuple[int, int], map_size: tuple[int, int], bandwidth: float
) -> Float[Tensor, "h w"]:
    """Returns the density of one or more clicks: Gaussian kernels, scaled to a maximum of 1.

    As with the "bubbles" that people uncover to recognise an image (Mitsuhara et al. 2019). `size`
    and `map_size` are height and width of the image and of the map; `bandwidth` is the kernel's
    standard deviation in pixels.

    Raises:
        ValueError: If a click lies outside the image.
    """
    counts = np.zeros(size, np.float64)
    for x, y in clicks:
        if not (0 <= x < size[1] and 0 <= y < size[0]):
            raise ValueError(
                f"expected clicks within a picture of {size[0]}x{size[1]} (height x width), "
                f"got x {x:g}, y {y:g}"
            )
        counts[int(y), int(x)] += 1.0
    dense = torch.from_numpy(gaussian_filter(counts, bandwidth, mode="constant")).float()
    shown = F.interpolate(dense[None, None], map_size, mode="area")[0, 0]
    return shown / shown.max()


def _overlap(low: float, high: float, length: int, cells: int) -> Float[Tensor, " cells"]:
    """Returns for each cell along a side the fraction that lies between low and high."""
    edges = torch.linspace(0, length, cells + 1)
    inside = edges[1:].clamp(max=high) - edges[:-1].clamp(min=low)
    return (inside * cells / length).clamp(0, 1)


def _resized(given: Float[Tensor, "k h w"], own: Float[Tensor, "m h2 w2"]) -> Tensor:
    if len(given) not in (1, len(own)):
        raise ValueError(f"expected a map, or one for each of {len(own)}, got {len(given)}")
    smaller = given.shape[1] >= own.shape[1] and given.shape[2] >= own.shape[2]
    how = {"mode": "area"} if smaller else {"mode": "bilinear", "align_corners": False}
    return F.interpolate(given[None], own.shape[1:], **how)[0].to(own.device)
