"""The parts of an explanation that are a network's: its pictures, its scores, replaced maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention.interventions import Layout
from rl_abn.estimates import Estimate
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.subject import Answer
from rl_abn.files.parts import Part
from rl_abn.runs.tensors import hash_of
from rl_abn.vision.data.examples import Examples
from rl_abn.vision.evaluation.evaluate import evaluate_examples
from rl_abn.vision.evaluation.explained_network import OwnAnswers, Said, attend_all, picked
from rl_abn.vision.evaluation.interventions import on_pictures
from rl_abn.vision.evaluation.splits import SplitName
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

    @property
    def fingerprint(self) -> str:
        """SHA-256 of pixels and speeds, in hexadecimal."""
        seen = {"pixels": torch.from_numpy(self.pixels)}
        return hash_of(seen if self.speed is None else {**seen, "speed": self.speed})


def read_pictures(trained: Trained, examples: Examples, n: int) -> ExplainedPictures:
    """Returns n pictures spread over a split, in random order.

    Args:
        trained: The network that they are prepared for.
        examples: The split.
        n: How many.
    """
    numbers = np.linspace(0, len(examples) - 1, min(n, len(examples))).round().astype(np.int64)
    numbers = np.random.default_rng(0).permutation(numbers)
    some = examples.chosen(torch.as_tensor(numbers)).in_memory()
    batches = replace(trained.batches, compute=replace(trained.batches.compute, precision="fp32"))
    batch = batches.batch(some, torch.arange(len(some)))
    pixels = some.pictures.read(some.indices)
    shown = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
    return ExplainedPictures(batch.images.float(), batch.speed, shown, numbers, len(examples))


def replaced_scores(
    run: VisionRun,
    trained: Trained,
    examples: Examples,
    path: Path,
    split: SplitName,
    interventions: Sequence[str],
    seed: int,
) -> Part:
    """Scores the network with its own maps and with replaced ones, over a whole split.

    Args:
        run: The network's run.
        trained: The network.
        examples: The split.
        path: Where it lies.
        split: "test" or "held_out".
        interventions: On the maps.
        seed: Of what is drawn.
    """
    found = evaluate_examples(
        run,
        trained,
        examples.in_memory(),
        data=path,
        split=split,
        interventions=interventions,
        seed=seed,
    )
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
    network: VisionNetwork, asked: ExplainedPictures, names: Sequence[str], seed: int
) -> Part:
    """Replaces the maps of fixed pictures.

    Args:
        network: In evaluation mode.
        asked: The pictures.
        names: Of the interventions.
        seed: Of what is drawn.
    """
    intact = attend_all(network, asked.images, asked.speed)
    explained = None if network.task.categorical else OwnAnswers.of(network, intact.outputs)

    def answer(said: Said) -> Answer:
        if explained is None:
            return Answer(said.outputs, None)
        return Answer(None, picked(said.outputs, explained.outputs))

    own, arrays, device = answer(intact), dict[str, np.ndarray](), intact.maps.device
    layout = Layout(network.abilities, intact.places)
    for name in names:
        replaced = on_pictures(name, seed, layout, device)(intact.maps)
        now = attend_all(network, asked.images, asked.speed, replaced)
        for response, lost in losses(own, answer(now), chosen(own)).items():
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
