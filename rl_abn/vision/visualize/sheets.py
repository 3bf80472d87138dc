"""A sheet of pictures: where a network looks, and what it gets right and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from rl_abn.compute import Compute
from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_output
from rl_abn.render import Scale
from rl_abn.render.sheet import Example, Shown, draw_sheet
from rl_abn.render.task_sheet import TaskAnswer, TaskExample, draw_task_sheet
from rl_abn.vision.data.pictures import Pictures
from rl_abn.vision.models.modes import evaluating
from rl_abn.vision.models.network import Answers, VisionAttention, VisionNetwork
from rl_abn.vision.visualize.look import BATCH, Prepare, look, pixels_of

_LOOKED_AT = 2_000
S = TypeVar("S", bound=Shown)


def picture_sheet(
    path: Path,
    network: VisionNetwork,
    pictures: Pictures,
    targets: Int64[Tensor, " N"],
    class_names: Sequence[str],
    n: int,
    *,
    prepare: Prepare,
    title: str,
    seed: int = 0,
    scale: Scale = "fixed",
    compute: Compute | None = None,
) -> int:
    """Draws a sheet of pictures with their maps, half of them wrong ones where there are so many.

    They are drawn at random; the network looks at 2,000 pictures at most to find so many.

    Args:
        path: The sheet, which ends in .png.
        network: Answers classes.
        pictures: N of them.
        targets: Their classes, [N].
        class_names: Of the K classes.
        n: How many are shown.
        prepare: As the network was trained.
        title: The line at the top.
        seed: Of what is drawn.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.
        compute: Precision; None is fp32.

    Returns:
        How many of those that are shown the network got wrong.

    Raises:
        RlAbnError: If there is no picture, the network answers no classes, or the sheet cannot be
            written.
    """
    _check(path, network, pictures, "classes", class_names, n)
    with evaluating(network):
        shown = _choose(
            (
                example
                for numbers, images, attention in _looks(network, pictures, seed, prepare, compute)
                for example in _examples(images, attention, targets[numbers], class_names)
            ),
            n,
        )
    _write_png(path, draw_sheet(shown, title, scale))
    return sum(not example.is_right for example in shown)


def task_sheet(
    path: Path,
    network: VisionNetwork,
    pictures: Pictures,
    targets: Float[Tensor, "N T"],
    task_names: Sequence[str],
    n: int,
    *,
    tasks: Sequence[int],
    prepare: Prepare,
    title: str,
    seed: int = 0,
    scale: Scale = "fixed",
    compute: Compute | None = None,
) -> int:
    """Draws a sheet of pictures under the maps of some tasks, with the answer to each.

    Half of the pictures have a wrong answer to one of these tasks, where there are so many. They
    are drawn at random; the network looks at 2,000 pictures at most to find so many.

    Args:
        path: The sheet, which ends in .png.
        network: Answers T tasks.
        pictures: N of them.
        targets: 1 where yes is right and 0 where no is, [N, T].
        task_names: Of the T tasks.
        n: How many pictures are shown.
        tasks: Which tasks are shown, 0 to T - 1; at least one.
        prepare: As the network was trained.
        title: The line at the top.
        seed: Of what is drawn.
        scale: "fixed" shows map values as they are; "frame" stretches each map on its own.
        compute: Precision; None is fp32.

    Returns:
        How many of the pictures that are shown have a wrong answer among those that are shown.

    Raises:
        RlAbnError: If there is no picture, the network answers no tasks, or the sheet cannot be
            written.
    """
    _check(path, network, pictures, "tasks", task_names, n)
    with evaluating(network):
        shown = _choose(
            (
                example
                for numbers, images, attention in _looks(network, pictures, seed, prepare, compute)
                for example in _of_tasks(images, attention, targets[numbers], task_names, tasks)
            ),
            n,
        )
    _write_png(path, draw_task_sheet(shown, title, scale))
    return sum(not example.is_right for example in shown)


def _looks(
    network: VisionNetwork,
    pictures: Pictures,
    seed: int,
    prepare: Prepare,
    compute: Compute | None,
) -> Iterator[tuple[Int64[Tensor, " B"], UInt8[Tensor, "B 3 H W"], VisionAttention]]:
    """Yields batches in a random order: their numbers, the pictures, and what is said of them."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pictures), generator=generator)[:_LOOKED_AT]
    for numbers in order.split(BATCH):
        images = pictures.read(numbers)
        yield numbers, images, look(network, images, prepare=prepare, compute=compute)


def _choose(examples: Iterable[S], n: int) -> list[S]:
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


def _examples(
    images: UInt8[Tensor, "B 3 H W"],
    attention: VisionAttention,
    targets: Int64[Tensor, " B"],
    class_names: Sequence[str],
) -> Iterator[Example]:
    probabilities = attention.outputs.float().softmax(1).cpu()
    maps = attention.map.float().cpu().numpy()
    for i, target in enumerate(targets.tolist()):
        answer = int(probabilities[i].argmax())
        yield Example(
            frame=pixels_of(images[i]),
            maps=maps[i],
            answer=class_names[answer],
            probability=float(probabilities[i, answer]),
            target=class_names[target],
        )


def _of_tasks(
    images: UInt8[Tensor, "B 3 H W"],
    attention: VisionAttention,
    targets: Float[Tensor, "B T"],
    task_names: Sequence[str],
    tasks: Sequence[int],
) -> Iterator[TaskExample]:
    logits = attention.outputs.float().cpu()
    says = (logits > 0).tolist()
    sure = logits.abs().sigmoid().tolist()  # of what it says, be that yes or no
    wanted = (targets > 0.5).tolist()
    # A plain twin has no maps to choose from.
    maps = attention.map[:, list(tasks) if attention.map.shape[1] else []].float().cpu().numpy()
    for i, image in enumerate(images):
        yield TaskExample(
            frame=pixels_of(image),
            maps=maps[i],
            answers=[
                TaskAnswer(task_names[t], says[i][t], sure[i][t], wanted[i][t]) for t in tasks
            ],
        )


def _check(
    path: Path,
    network: VisionNetwork,
    pictures: Pictures,
    answers: Answers,
    names: Sequence[str],
    n: int,
) -> None:
    if network.answers != answers or len(names) != network.n_outputs:
        raise RlAbnError(
            f"expected a network of {len(names)} {answers}, got one of {network.n_outputs} "
            f"{network.answers}"
        )
    if n < 1 or not len(pictures):
        raise RlAbnError(f"expected 1 picture or more to show, got {n} of {len(pictures):,}")
    if path.suffix.lower() != ".png":
        raise RlAbnError(f"expected a path for the sheet that ends in .png, got {path}")


def _write_png(path: Path, picture: UInt8[np.ndarray, "H W 3"]) -> None:
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_output(path, data.tobytes())
