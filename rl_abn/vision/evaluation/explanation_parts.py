"""The parts of an explanation that are a network's: its pictures, its scores, replaced maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import Intervention
from rl_abn.estimates import Estimate
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.subject import Answer, Subject
from rl_abn.files.parts import Part
from rl_abn.vision.evaluation.evaluate import evaluate_run
from rl_abn.vision.evaluation.splits import SplitName, open_split
from rl_abn.vision.models.network import VisionNetwork
from rl_abn.vision.training.build import Trained, VisionRun


class ExplainedPictures(NamedTuple):
    """N pictures as a network takes them and as they are shown.

    Attributes:
        images: float32 [N, 3, H, W], normalised.
        speed: [N], or None.
        pixels: uint8 [N, H, W, 3].
        numbers: In the split, int64 [N].
        n_split: Pictures of the split.
    """

    images: Tensor
    speed: Tensor | None
    pixels: np.ndarray
    numbers: np.ndarray
    n_split: int


def read_pictures(
    run: VisionRun, trained: Trained, path: Path, split: SplitName, n: int
) -> ExplainedPictures:
    """Returns n pictures spread over a split, in random order.

    Args:
        run: Whose data.
        trained: The network that they are prepared for.
        path: Where the data lies.
        split: "test" or "held_out".
        n: How many.
    """
    examples = open_split(run, trained.outputs, path, split, trained.device)
    numbers = np.linspace(0, len(examples) - 1, min(n, len(examples))).round().astype(np.int64)
    numbers = np.random.default_rng(0).permutation(numbers)
    which = torch.as_tensor(numbers)
    batches = replace(trained.batches, compute=replace(trained.batches.compute, precision="fp32"))
    batch = batches.batch(examples, which)
    pixels = examples.pictures.read(examples.indices[which])
    shown = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
    return ExplainedPictures(batch.images.float(), batch.speed, shown, numbers, len(examples))


def replaced_scores(
    run: VisionRun,
    path: Path,
    split: SplitName,
    interventions: Sequence[str],
    step: int,
    seed: int,
    device: str,
) -> Part:
    """Scores the network with its own maps and with replaced ones, over a whole split.

    Args:
        run: Whose network.
        path: Where the data lies.
        split: "test" or "held_out".
        interventions: On the maps.
        step: The checkpoint's epoch.
        seed: Of what is drawn.
        device: Where the network runs.
    """
    found = evaluate_run(
        run, data=path, split=split, interventions=interventions, step=step, seed=seed,
        device=device,
    )  # fmt: skip
    own = found.rows[0]
    name = next(iter(own.numbers))
    rows: dict[str, Any] = {}
    for row in found.rows:
        if row.intervention is not None and row.difference is not None:
            rows[row.intervention] = {
                "value": list(row.numbers[name]),
                "difference": list(row.difference),
            }
    return Part({"metric": name, "own": list(own.numbers[name]), "n": found.n, "rows": rows}, {})


def fixed_pictures(
    network: VisionNetwork,
    subject: Subject,
    asked: ExplainedPictures,
    names: Sequence[str],
    seed: int,
) -> Part:
    """Replaces the maps of fixed pictures.

    Args:
        network: In evaluation mode.
        subject: The same at the pictures.
        asked: The pictures.
        names: Of the interventions.
        seed: Of what is drawn.
    """
    own, arrays = subject.answers(), {}
    choice, device = chosen(own), subject.device
    starts = torch.ones(subject.n, dtype=torch.bool, device=device)
    for name in names:
        rule = Intervention(name, generator=torch.Generator(device).manual_seed(seed))
        with torch.no_grad():
            now = network.attend(asked.images, asked.speed, partial(rule, episode_start=starts))
        outputs = now.outputs.float()
        if own.logits is None and network.task.map_per_output:
            continue  # which task a picture is asked about is not kept
        answer = Answer(None, outputs[:, 0]) if own.logits is None else Answer(outputs, None)
        for response, lost in losses(own, answer, choice).items():
            arrays[f"{name}|{response}"] = lost.cpu().numpy()
    return Part(None, arrays)


def share_lost(difference: Estimate, own: float, *, is_error: bool) -> Estimate:
    """Returns a difference as a share of the intact number; below 0 is worse.

    Args:
        difference: Of the intervened network to the intact one.
        own: The intact one's number.
        is_error: Whether less is better.
    """
    size = max(abs(own), 1e-9)
    low, high = difference.low, difference.high
    if not is_error:
        return difference.each(lambda value: value / size)
    return Estimate(
        -difference.value / size,
        None if high is None else -high / size,
        None if low is None else -low / size,
    )
