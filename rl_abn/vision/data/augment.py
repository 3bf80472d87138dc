"""Augmentation of a whole batch at once, where the batch is, with one random generator.

Pictures are of 0 to 255, uint8 or floats, and stay so, in channels-last memory. What is drawn is
drawn on the generator's device: one on the CPU draws the same for pictures on every device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Generator, Tensor

from rl_abn.errors import RlAbnError, did_you_mean


class ChannelStatistics(NamedTuple):
    """Mean and deviation of red, green and blue, of pictures in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


STATISTICS = {
    "cifar10": ChannelStatistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ChannelStatistics((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ChannelStatistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ChannelStatistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Of the sets' training pictures; "half" brings 0..1 to -1..1."""


def normalise(images: Shaped[Tensor, "B 3 H W"], statistics: str) -> Float32[Tensor, "B 3 H W"]:
    """Returns pictures as a network takes them: less the channel's mean, over its deviation.

    Args:
        images: Of 0 to 255, [B, 3, H, W].
        statistics: A name in STATISTICS.

    Raises:
        RlAbnError: If there is no such name.
    """
    if statistics not in STATISTICS:
        raise RlAbnError(
            f"unknown channel statistics '{statistics}': {did_you_mean(statistics, STATISTICS)}"
        )
    mean, std = (
        torch.tensor(values, device=images.device).view(1, 3, 1, 1)
        for values in STATISTICS[statistics]
    )
    return images.float().sub_(255 * mean).div_(255 * std)


def pad_crop_flip(
    images: Shaped[Tensor, "B C H W"], generator: Generator, pad: int = 4
) -> Shaped[Tensor, "B C H W"]:
    """Surrounds each picture with black, cuts its size out at random, and flips every other one.

    The standard augmentation of CIFAR (He et al., CVPR 2016), with `pad` of 4.

    Args:
        images: [B, C, H, W].
        generator: Of everything random.
        pad: Pixels on each side.
    """
    count, _, height, width = images.shape
    top, left = (_draw_whole(count, 2 * pad + 1, generator, images) for _ in range(2))
    flipped = _draw(count, generator, images) < 0.5
    padded = F.pad(images, (pad, pad, pad, pad))
    rows = top[:, None] + torch.arange(height, device=images.device)
    return _pick(padded, rows, _columns(left, width, flipped))


def random_resized_crop_flip(
    images: Shaped[Tensor, "B C H W"],
    generator: Generator,
    size: int | tuple[int, int],
    *,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Shaped[Tensor, "B C h w"]:
    """Cuts a part of random area and aspect from each picture, resizes it, and flips every other.

    The standard augmentation of ImageNet (Szegedy et al., CVPR 2015), where the images are whole
    pictures; in training here they are the centres that `open_labelled` cuts out. A crop that would
    not fit into the picture is drawn again, ten times in all; then all of the picture that has an
    allowed aspect is taken from its middle. Resizing is bilinear, and averages where it makes
    smaller.

    Args:
        images: [B, C, H, W].
        generator: Of everything random.
        size: Height and width in the end, or both at once.
        area: Least and largest share of the picture.
        aspect: Least and largest width over height; drawn evenly in their logarithm.
    """
    out_height, out_width = (size, size) if isinstance(size, int) else size
    top, left, height, width = _draw_crops(images, generator, area, aspect)
    flipped = _draw(len(images), generator, images) < 0.5
    # Two small matrices a picture do all: which rows, which columns, and how much of each.
    rows = _resize_weights(top, height, images.shape[2], out_height)
    columns = _resize_weights(left, width, images.shape[3], out_width)
    columns = torch.where(flipped[:, None, None], columns.flip(1), columns)
    resized = torch.einsum("bih,bchw,bjw->bcij", rows, images.float(), columns)
    return _like(resized, images).contiguous(memory_format=torch.channels_last)


def augment_driving(
    images: Shaped[Tensor, "B C H W"],
    controls: Float[Tensor, "B 2"],
    generator: Generator,
    *,
    flip: float = 0.5,
    brightness: float = 0.3,
    shift: int = 0,
    steering_per_pixel: float = 0.0,
) -> tuple[Shaped[Tensor, "B C H W"], Float[Tensor, "B 2"]]:
    """Changes frames as another drive could have shown them, and the steering with them.

    A mirrored frame gets the opposite steering. A frame whose content is moved to the right, as a
    car further to the left would see it, asks for more steering to the right. What is moved in
    from outside repeats the outermost column.

    Args:
        images: [B, C, H, W].
        controls: Steering, -1 (left) to 1 (right), and throttle, [B, 2].
        generator: Of everything random.
        flip: Share of frames that are mirrored.
        brightness: Each frame is multiplied by 1 - this to 1 + this, and stays within 0..255.
        shift: Frames are moved to either side by up to this many pixels.
        steering_per_pixel: What one pixel to the right adds to the steering.

    Returns:
        Frames [B, C, H, W] and controls [B, 2].
    """
    count, _, height, width = images.shape
    moved = _draw_whole(count, 2 * shift + 1, generator, images) - shift
    mirrored = _draw(count, generator, images) < flip
    factor = 1 + brightness * (2 * _draw(count, generator, images) - 1)
    rows = torch.arange(height, device=images.device).expand(count, -1)
    columns = _columns(-moved, width, mirrored).clamp(0, width - 1)
    shown = _like(_pick(images, rows, columns).float() * factor[:, None, None, None], images)
    steering = controls[:, 0] + steering_per_pixel * moved.to(controls)
    steering = torch.where(mirrored.to(controls.device), -steering, steering).clamp(-1, 1)
    return shown, torch.cat([steering[:, None], controls[:, 1:]], dim=1)


def _draw(count: int, generator: Generator, images: Tensor) -> Float[Tensor, " B"]:
    return torch.rand(count, generator=generator, device=generator.device).to(images.device)


def _draw_whole(count: int, n: int, generator: Generator, images: Tensor) -> Int64[Tensor, " B"]:
    """Draws whole numbers from 0 to n - 1."""
    drawn = torch.randint(n, (count,), generator=generator, device=generator.device)
    return drawn.to(images.device)


def _columns(
    left: Int64[Tensor, " B"], width: int, flipped: Bool[Tensor, " B"]
) -> Int64[Tensor, "B W"]:
    """Returns which columns are shown: `width` from `left` on, from right to left where flipped."""
    across = torch.arange(width, device=left.device)
    return left[:, None] + torch.where(flipped[:, None], width - 1 - across, across)


def _pick(
    images: Shaped[Tensor, "B C H W"], rows: Int64[Tensor, "B h"], columns: Int64[Tensor, "B w"]
) -> Shaped[Tensor, "B C h w"]:
    pixels = images.permute(0, 2, 3, 1)
    number = torch.arange(len(images), device=images.device)[:, None, None]
    return pixels[number, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _like(values: Float[Tensor, "B C H W"], images: Tensor) -> Tensor:
    """Brings values of 0..255 to the pictures' own type."""
    values = values.clamp(0, 255)
    return (values.round() if images.dtype == torch.uint8 else values).to(images.dtype)


def _draw_crops(
    images: Tensor, generator: Generator, area: tuple[float, float], aspect: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws crops: their first row and column, height and width, whole numbers, int64 [B]."""
    (count, _, height, width), device = images.shape, images.device
    drawn = torch.rand(
        4, count, 10, generator=generator, device=generator.device, dtype=torch.double
    )
    pixels = (area[0] + (area[1] - area[0]) * drawn[0]) * height * width
    low, high = (math.log(limit) for limit in aspect)
    ratio = (low + (high - low) * drawn[1]).exp()
    wide, tall = (pixels * ratio).sqrt().round().long(), (pixels / ratio).sqrt().round().long()
    fits = (wide >= 1) & (wide <= width) & (tall >= 1) & (tall <= height)
    # What argmax returns is the first that fits.
    first = fits.int().argmax(1, keepdim=True)
    wide, tall, down, right = (x.gather(1, first)[:, 0] for x in (wide, tall, drawn[2], drawn[3]))
    middle_tall = min(height, max(round(width / aspect[0]), 1))
    middle_wide = min(width, max(round(height * aspect[1]), 1))
    top, left = (down * (height - tall + 1)).long(), (right * (width - wide + 1)).long()
    found = fits.any(1)
    top = torch.where(found, top, (height - middle_tall) // 2)
    left = torch.where(found, left, (width - middle_wide) // 2)
    tall, wide = torch.where(found, tall, middle_tall), torch.where(found, wide, middle_wide)
    return top.to(device), left.to(device), tall.to(device), wide.to(device)


def _resize_weights(
    first: Int64[Tensor, " B"], length: Int64[Tensor, " B"], total: int, out: int
) -> Float32[Tensor, "B out total"]:
    """Returns how much of each pixel along one side every pixel of a resized crop takes.

    A triangle around the place a pixel comes from, one pixel wide, or as wide as a pixel of the
    result where that is larger; nothing from outside the crop.
    """
    device = first.device
    scale = (length.float() / out)[:, None, None]
    centre = (torch.arange(out, device=device)[:, None] + 0.5) * scale
    pixel = torch.arange(total, device=device) - first[:, None, None]
    weights = (1 - (pixel + 0.5 - centre).abs() / scale.clamp(min=1)).clamp(min=0)
    weights = weights * ((pixel >= 0) & (pixel < length[:, None, None]))
    return weights / weights.sum(2, keepdim=True)
