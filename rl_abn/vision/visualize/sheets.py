"""A sheet of pictures: where a network looks, and what it gets right and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

from rl_abn.compute import Compute
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_output
from rl_abn.render import Scale, scale_of
from rl_abn.render.sheet import Shown
from rl_abn.vision.data.pictures import Pictures
from rl_abn.vision.models.modes import evaluating
from rl_abn.vision.models.network import VisionAttention, VisionNetwork
from rl_abn.vision.visualize.look import BATCH, Prepare, look, pixels_of

LOOKED_AT = 2_000
"""So many pictures are looked at, at most, to find as many wrong ones as a sheet shows."""
S = TypeVar("S", bound=Shown)


def picture_sheet(
    path: Path,
    network: VisionNetwork,
    pictures: Pictures,
    targets: Shaped[Tensor, "N ..."],
    names: Sequence[str],
    n: int,
    *,
    prepare: Prepare,
    title: str,
    shown: Sequence[int] = (),
    seed: int = 0,
    scale: Scale = "fixed",
    compute: Compute | None = None,
) -> int:
    """Draws a sheet of pictures with their maps, half of them wrong ones where there are so many.

    They are drawn at random; the network looks at 2,000 pictures at most to find so many.

    Args:
        path: The sheet, which ends in .png.
        network: The network; its task says what is right and what an example shows.
        pictures: N of them.
        targets: What is right, as the task's loss takes it.
        names: Of the K outputs.
        n: How many pictures are shown.
        prepare: As the network was trained.
        title: The line at the top.
        shown: Which outputs are shown, 0 to K - 1, for a task with a map for each; at least one.
            A picture is wrong if one of these is.
        seed: Of what is drawn.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.
        compute: Precision; None is fp32.

    Returns:
        How many of those that are shown the network got wrong.

    Raises:
        RlAbnError: If there is no picture, the network's task has no sheet, or the sheet cannot be
            written.
    """
    _check(path, network, pictures, names, n)
    task, abilities = network.task, network.abilities
    scale = scale_of(scale, sums_to_one=abilities.sums_to_one)
    with evaluating(network):
        chosen = choose(
            (
                example
                for numbers, images, attention in _looks(network, pictures, seed, prepare, compute)
                for example in task.examples(
                    [pixels_of(image) for image in images],
                    abilities.drawn(attention.map.float().cpu(), attention.places),
                    attention.outputs.float().cpu(),
                    targets[numbers],
                    names,
                    shown,
                )
            ),
            n,
        )
    write_png(path, task.draw(chosen, title, scale))
    return sum(not example.is_right for example in chosen)


def _looks(
    network: VisionNetwork,
    pictures: Pictures,
    seed: int,
    prepare: Prepare,
    compute: Compute | None,
) -> Iterator[tuple[Int64[Tensor, " B"], UInt8[Tensor, "B 3 H W"], VisionAttention]]:
    """Yields batches in a random order: their numbers, the pictures, and what is said of them."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pictures), generator=generator)[:LOOKED_AT]
    for numbers in order.split(BATCH):
        images = pictures.read(numbers)
        yield numbers, images, look(network, images, prepare=prepare, compute=compute)


def choose(examples: Iterable[S], n: int) -> list[S]:
    """Returns the first n, half of them wrong ones where there are so many; right ones first."""
    right: list[S] = []
    wrong: list[S] = []
    for example in examples:
        kept = right if example.is_right else wrong
        if len(kept) < n:
            kept.append(example)
        if len(wrong) >= n // 2 and len(right) >= n - n // 2:
            break  # what comes later would not be shown
    n_wrong = min(len(wrong), max(n // 2, n - len(right)))
    return right[: n - n_wrong] + wrong[:n_wrong]


def _check(
    path: Path, network: VisionNetwork, pictures: Pictures, names: Sequence[str], n: int
) -> None:
    task = network.task
    if not task.has_sheet:
        raise RlAbnError(
            f"expected a network that is right or wrong about a picture, got one of "
            f"{network.n_outputs} {task.unit}"
        )
    if len(names) != network.n_outputs:
        raise RlAbnError(f"expected names of {network.n_outputs} {task.unit}, got {len(names)}")
    if n < 1 or not len(pictures):
        raise RlAbnError(f"expected 1 picture or more to show, got {n} of {len(pictures):,}")
    if path.suffix.lower() != ".png":
        raise RlAbnError(f"expected a path for the sheet that ends in .png, got {path}")


def write_png(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes a picture; RlAbnError says why it cannot be."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_output(path, data.tobytes())
