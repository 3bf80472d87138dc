"""F-Fidelity: removal on a copy of the function that has learnt to see pictures with holes.

Zheng et al. (ICLR 2025). Plain removal asks about pictures that were never seen, so what is lost
may be the shock of the hole. Here a copy is fine-tuned under random masks of at most a share of
the cells, and then no more than that share is removed: the cells that a map marks (what is lost
should be much), and those that it marks least (little). A map's number is the difference. The copy
is fine-tuned on one half of the pictures, and maps are tested on the other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rl_abn.explain.cells import cell_of_pixels, pixel_mask
from rl_abn.explain.removal import removal
from rl_abn.explain.subject import Answer, Subject

SHARE = 0.4
"""Of the cells that are masked and removed, at most; alpha of the paper."""
BATCH = 32
LEARNING_RATE = 1e-4
LEAST_SPLIT = 16
"""Pictures from which some are held out."""
CHECK_EVERY, PATIENCE, LEAST_FALL = 25, 100, 0.01
"""Steps between two looks at held-out pictures; it ends after 100 without a fall of a share."""
N_CHECKS = 8
"""Batches of masked pictures that a look is at."""

Masked = Callable[[], tuple[Tensor, Tensor]]
"""Draws a batch of pictures with random holes, [B, C, H, W], and their numbers, int64 [B]."""


def masked_pictures(
    subject: Subject,
    substrates: Sequence[Tensor],
    seed: int = 0,
    share: float = SHARE,
    batch: int = BATCH,
) -> Masked:
    """Returns what draws pictures with holes: each hides a random share of cells up to `share`.

    Args:
        subject: Whose pictures.
        substrates: What may stand in the holes, [N, C, H, W] each; one of them in each batch.
        seed: Of the draws.
        share: Of the cells, at most.
        batch: B.
    """
    generator = torch.Generator().manual_seed(seed)
    n_cells = subject.grid[0] * subject.grid[1]
    height, width = subject.images.shape[2:]
    cells = cell_of_pixels(subject.grid, (height, width)).to(subject.device)

    def draw() -> tuple[Tensor, Tensor]:
        numbers = torch.randint(subject.n, (batch,), generator=generator)
        gone = share * torch.rand(batch, 1, generator=generator)
        order = torch.rand(batch, n_cells, generator=generator).argsort(dim=1).argsort(dim=1)
        hidden = (order < gone * n_cells).to(subject.device)
        which = int(torch.randint(len(substrates), (1,), generator=generator))
        numbers = numbers.to(subject.device)
        holes = pixel_mask(hidden, cells)
        return torch.where(holes, substrates[which][numbers], subject.images[numbers]), numbers

    return draw


class FineTuning(NamedTuple):
    """How far the fine-tuning of a copy came.

    The distances are of the copy's answers from the network's own to the same pictures as they are:
    the mean KL in nats, and the mean square error of the value in shares of its variance. "masked,
    held out" is of pictures with random holes that the copy was not fine-tuned on.

    Attributes:
        steps: Of the weights that were kept.
        most_steps: How many there could have been.
        pictures: How many it was fine-tuned on, and how many it was tested on.
        is_split: Whether these are different ones.
        before: By what it is asked about, then by "kl" or "value"; of the network itself.
        after: The same of the copy.
        curve: Steps, and the sum of the distances on masked, held-out pictures then.
    """

    steps: int
    most_steps: int
    pictures: tuple[int, int]
    is_split: bool
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    curve: list[tuple[int, float]]

    @property
    def stopped(self) -> bool:
        """Whether it ended because the distance no longer fell, and not for want of steps."""
        return self.curve[-1][0] - self.steps >= PATIENCE


def split(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns numbers of the pictures to fine-tune on, and of those to test on, int64.

    Each is a random half of the N; of fewer than 16 both are all.
    """
    if n < LEAST_SPLIT:
        return torch.arange(n), torch.arange(n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[: n // 2].sort().values, order[n // 2 :].sort().values


def fine_tuned(
    subject: Subject,
    substrates: Mapping[str, Tensor],
    most_steps: int,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    tick: Callable[[int], None] | None = None,
) -> tuple[Subject, FineTuning]:
    """Fine-tunes a copy to give the function's own answers to half of the pictures under holes.

    Adam goes on until the distance on the other half, under holes, has not fallen by 1% for 100
    steps; the weights of the smallest distance are kept. The function's own weights stay as they
    are.

    Args:
        subject: What is explained; it can be rebuilt.
        substrates: What may stand in the holes, by name, [N, C, H, W] each.
        most_steps: Steps of Adam, at most.
        seed: Of the halves and the holes.
        learning_rate: Of Adam.
        tick: Told how many pictures were asked about, now and then.

    Returns:
        The copy, asked about all N pictures, and how far it came.
    """
    assert subject.rebuilt is not None
    own = subject.answers()
    module = copy.deepcopy(subject.module)
    copied = subject.rebuilt(module)
    halves = split(subject.n, seed)
    draws = [
        masked_pictures(
            subject.part(half),
            [s[half.to(subject.device)] for s in substrates.values()],
            seed + i,
        )
        for i, half in enumerate(halves)
    ]
    checks = {
        "masked, held out": (halves[1], [draws[1]() for _ in range(N_CHECKS)]),
        "masked, fine-tuned on": (halves[0], [draws[0]() for _ in range(N_CHECKS)]),
        "whole, held out": (halves[1], list(subject.part(halves[1]).batches(BATCH))),
    }

    def far(asked: Subject, what: str) -> dict[str, float]:
        half, batches = checks[what]
        part = asked.part(half)
        with torch.no_grad():
            found = [
                distances(_at(own, half.to(asked.device)[numbers]), part.ask(pixels, numbers), own)
                for pixels, numbers in batches
            ]
        return {name: float(sum(float(f[name]) for f in found) / len(found)) for name in found[0]}

    before = {what: far(subject, what) for what in checks}
    learner, target = copied.part(halves[0]), halves[0].to(subject.device)
    weights = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=learning_rate)
    curve = [(0, sum(before["masked, held out"].values()))]
    best, kept = curve[0], copy.deepcopy(module.state_dict())
    for step in range(1, most_steps + 1):
        pictures, numbers = draws[0]()
        with torch.enable_grad():
            answer = learner.ask(pictures, numbers)
            loss = torch.stack([*distances(_at(own, target[numbers]), answer, own).values()]).sum()
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        if tick is not None:
            tick(3 * len(pictures))
        if step % CHECK_EVERY and step != most_steps:
            continue
        curve.append((step, sum(far(copied, "masked, held out").values())))
        if curve[-1][1] < (1 - LEAST_FALL) * best[1]:
            best, kept = curve[-1], copy.deepcopy(module.state_dict())
        elif step - best[0] >= PATIENCE:
            break
    module.load_state_dict(kept)
    after = {what: far(copied, what) for what in checks}
    n_pictures = len(halves[0]), len(halves[1])
    is_split = subject.n >= LEAST_SPLIT
    return copied, FineTuning(best[0], most_steps, n_pictures, is_split, before, after, curve)


def distances(own: Answer, now: Answer, every: Answer) -> dict[str, Tensor]:
    """Returns how far answers are from a function's own, by "kl" and "value", whichever it has.

    Args:
        own: The function's to these pictures as they are.
        now: The answers.
        every: The function's to all pictures, whose values have the variance that errors are
            shares of.
    """
    found = {}
    if own.logits is not None and now.logits is not None:
        p, q = own.logits.log_softmax(dim=1), now.logits.log_softmax(dim=1)
        found["kl"] = (p.exp() * (p - q)).sum(dim=1).mean()
    if own.value is not None and now.value is not None and every.value is not None:
        spread = every.value.var(correction=0).clamp_min(1e-8)
        found["value"] = F.mse_loss(now.value, own.value) / spread
    return found


def _at(answer: Answer, numbers: Tensor) -> Answer:
    logits, value = answer.logits, answer.value
    return Answer(
        None if logits is None else logits[numbers], None if value is None else value[numbers]
    )


def fidelity(
    tuned: Subject,
    maps: Mapping[str, Tensor],
    substrates: Mapping[str, Tensor],
    n_fractions: int,
    seed: int = 0,
    share: float = SHARE,
    tick: Callable[[int], None] | None = None,
) -> dict[tuple[str, str, str], np.ndarray]:
    """Measures what is lost without what maps mark most, minus without what they mark least.

    Args:
        tuned: As `fine_tuned` returns it, or a part of it.
        maps: By name, [N, h, w] of its grid.
        substrates: By name, [N, C, H, W].
        n_fractions: Fractions of the cells, evenly up to `share`.
        seed: Of the order of equal cells.
        share: Of the cells that are removed, at most.
        tick: Told how many passes were made.

    Returns:
        By (map, substrate, response): each picture's number, float64 [N]; more is better.
    """
    fractions = [share * (i + 1) / n_fractions for i in range(n_fractions)]
    found = {}
    for name, attention_map in maps.items():
        both = {"most": attention_map, "least": -attention_map}
        areas = removal(tuned, both, substrates, fractions, seed, tick).areas
        for (which, substrate, metric, response), values in areas.items():
            if (which, metric) == ("most", "deletion"):
                least = areas["least", substrate, metric, response]
                found[name, substrate, response] = values - least
    return found
