"""Augmentation of batches, beside a loop that takes one picture at a time."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from rl_abn.errors import RlAbnError
from rl_abn.vision.data.augment import (
    STATISTICS,
    augment_driving,
    normalise,
    pad_crop_flip,
    random_resized_crop_flip,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def batch(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """uint8 [count, 3, height, width] in channels-last memory."""
    pixels = torch.randint(0, 256, (count, height, width, 3), generator=seeded(seed))
    return pixels.to(torch.uint8).permute(0, 3, 1, 2)


def flipped(image: Tensor, flip: bool) -> Tensor:
    return image.flip(-1) if flip else image


def check(augmented: Tensor, images: Tensor, shape: tuple[int, ...]) -> None:
    assert augmented.dtype == images.dtype
    assert augmented.shape == shape
    assert augmented.is_contiguous(memory_format=torch.channels_last)


# Pad, crop, flip


def test_pad_crop_flip_is_the_loop() -> None:
    images = batch(32, 8, 10)
    augmented = pad_crop_flip(images, seeded(), pad=2)
    check(augmented, images, (32, 3, 8, 10))
    rng = seeded()
    top, left = (torch.randint(5, (32,), generator=rng) for _ in range(2))
    flip = torch.rand(32, generator=rng) < 0.5
    assert 4 < flip.sum() < 28
    for i, image in enumerate(images):
        padded = torch.zeros(3, 12, 14, dtype=torch.uint8)
        padded[:, 2:10, 2:12] = image
        crop = padded[:, top[i] : top[i] + 8, left[i] : left[i] + 10]
        assert torch.equal(augmented[i], flipped(crop, bool(flip[i])))


def test_every_place_and_both_sides_are_as_likely() -> None:
    """A lit pixel in the middle of 5×5 is moved to each of nine places, mirrored or not."""
    images = torch.zeros(9_000, 3, 5, 5, dtype=torch.uint8)
    images[:, :, 2, 2] = 255
    places = (pad_crop_flip(images, seeded(), pad=1)[:, 0] == 255).float().mean(0)
    assert places.sum() == pytest.approx(1)
    assert torch.equal(places[1:4, 1:4] > 0, torch.ones(3, 3, dtype=torch.bool))
    assert (places[1:4, 1:4] - 1 / 9).abs().max() < 0.015
    images = torch.zeros(9_000, 3, 5, 5, dtype=torch.uint8)
    images[..., 0] = 255
    assert (pad_crop_flip(images, seeded(), pad=0)[:, 0, 0, 4] == 255).float().mean() == (
        pytest.approx(0.5, abs=0.02)
    )


# Random resized crop


def test_random_resized_crop_is_the_loop() -> None:
    """Each crop by itself, resized by torch with its antialiasing."""
    images = batch(64, 24, 40)
    augmented = random_resized_crop_flip(images, seeded(3), (12, 9))
    check(augmented, images, (64, 3, 12, 9))
    rng = seeded(3)
    drawn = torch.rand(4, 64, 10, generator=rng, dtype=torch.double)
    flip = torch.rand(64, generator=rng) < 0.5
    smaller = 0
    for i, image in enumerate(images):
        top, left, height, width = crop_of(drawn[:, i], 24, 40)
        smaller += height < 12
        crop = image[:, top : top + height, left : left + width].float()
        resized = F.interpolate(crop[None], (12, 9), mode="bilinear", antialias=True)[0]
        expected = flipped(resized.round(), bool(flip[i]))
        assert (augmented[i] - expected).abs().max() <= 1  # a half rounds either way
        assert (augmented[i] == expected).float().mean() > 0.99
    assert 0 < smaller < 64


def crop_of(drawn: Tensor, rows: int, columns: int) -> tuple[int, int, int, int]:
    for area, ratio, down, right in drawn.T.tolist():
        pixels = (0.08 + 0.92 * area) * rows * columns
        aspect = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * ratio)
        width, height = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < width <= columns and 0 < height <= rows:
            return (
                int(down * (rows - height + 1)),
                int(right * (columns - width + 1)),
                height,
                width,
            )
    # Wider than 4 to 3: all rows, and as many columns as that allows.
    assert columns / rows > 4 / 3
    width = round(rows * 4 / 3)
    return 0, (columns - width) // 2, rows, width


@pytest.mark.parametrize(("rows", "columns"), [(10, 60), (60, 10)])
def test_what_no_crop_fits_is_cut_from_the_middle(rows: int, columns: int) -> None:
    images = torch.zeros(50, 3, rows, columns)
    lit = (columns - 13) // 2 if columns > rows else (rows - 13) // 2
    strip = images if columns > rows else images.transpose(2, 3)
    strip[..., lit : lit + 13] = 200
    # Of less than the whole area nothing fits that is between 3:4 and 4:3.
    augmented = random_resized_crop_flip(images, seeded(), 8, area=(0.9, 1.0))
    assert augmented.dtype == torch.float32
    torch.testing.assert_close(augmented, torch.full((50, 3, 8, 8), 200.0))


def test_the_whole_picture_at_its_own_size_is_itself() -> None:
    images = batch(20, 16, 16)
    augmented = random_resized_crop_flip(images, seeded(), 16, area=(1.0, 1.0), aspect=(1.0, 1.0))
    same = (augmented == images).flatten(1).all(1)
    mirrored = (augmented == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert same.any()
    assert mirrored.any()


# Driving


def test_driving_is_the_loop() -> None:
    images, controls = batch(40, 6, 20), torch.rand(40, 2, generator=seeded(5)) * 2 - 1
    shown, steered = augment_driving(
        images, controls, seeded(), shift=3, steering_per_pixel=0.05, brightness=0.4
    )
    check(shown, images, (40, 3, 6, 20))
    rng = seeded()
    moved = torch.randint(7, (40,), generator=rng) - 3
    mirrored = torch.rand(40, generator=rng) < 0.5
    factor = 1 + 0.4 * (2 * torch.rand(40, generator=rng) - 1)
    for i, image in enumerate(images):
        dx, flip = int(moved[i]), bool(mirrored[i])
        padded = F.pad(image.float(), (3, 3, 0, 0), mode="replicate")
        crop = padded[..., 3 - dx : 23 - dx]
        expected = (flipped(crop, flip) * factor[i]).clamp(0, 255).round()
        assert torch.equal(shown[i].float(), expected)
        steering = float(controls[i, 0]) + 0.05 * dx
        steering = min(max(-steering if flip else steering, -1), 1)
        assert steered[i].tolist() == pytest.approx([steering, float(controls[i, 1])])


def test_a_mirrored_frame_is_steered_the_other_way() -> None:
    images, controls = batch(8, 4, 6), torch.linspace(-1, 1, 16).view(8, 2)
    shown, steered = augment_driving(images, controls, seeded(), flip=1.0, brightness=0.0)
    assert torch.equal(shown, images.flip(3))
    assert torch.equal(steered, controls * torch.tensor([-1.0, 1.0]))
    same, unchanged = augment_driving(images, controls, seeded(), flip=0.0, brightness=0.0)
    assert torch.equal(same, images)
    assert torch.equal(unchanged, controls)


def test_what_moves_right_is_steered_after() -> None:
    images = torch.zeros(64, 3, 2, 9)
    images[..., 4] = 100
    shown, steered = augment_driving(
        images, torch.zeros(64, 2), seeded(), shift=2, steering_per_pixel=0.1, brightness=0.0
    )
    place = shown[:, 0, 0].argmax(1)
    torch.testing.assert_close(steered[:, 0], 0.1 * (place - 4))
    assert set(place.tolist()) == {2, 3, 4, 5, 6}


# Chance, numbers


@pytest.mark.parametrize(
    "augment",
    [
        pad_crop_flip,
        lambda images, generator: random_resized_crop_flip(images, generator, 6),
        lambda images, generator: augment_driving(images, torch.zeros(16, 2), generator, shift=2)[
            0
        ],
    ],
)
def test_the_seed_decides_and_nothing_else(augment) -> None:
    images, before = batch(16, 8, 8), batch(16, 8, 8)
    first = augment(images, seeded(1))
    torch.manual_seed(123)
    assert torch.equal(first, augment(images, seeded(1)))
    assert not torch.equal(first, augment(images, seeded(2)))
    rng = seeded(1)
    augment(images, rng)
    assert not torch.equal(first, augment(images, rng))
    assert torch.equal(images, before)
    floats = augment(images.float(), seeded(1))
    assert floats.dtype == torch.float32
    assert (floats - first.float()).abs().max() <= 0.501


def test_normalise() -> None:
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    images = images.contiguous(memory_format=torch.channels_last)
    shown = normalise(images, "imagenet")
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert shown[1, :, 3, 4].tolist() == pytest.approx(expected, rel=1e-6)
    assert shown.dtype == torch.float32
    assert shown.is_contiguous(memory_format=torch.channels_last)
    assert images.max() == 255
    assert normalise(images, "half")[0, ::2, 0, 0].tolist() == pytest.approx([-1, 1])
    with pytest.raises(RlAbnError, match="did you mean 'cifar10'"):
        normalise(images, "cifar-10")
    assert all(0 < std < 1 for statistics in STATISTICS.values() for std in statistics.std)
