"""What is explained: a function of pictures, and the pictures it is asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from rl_abn.explain.cells import to_cells

T = TypeVar("T")
BATCH = 256
"""Pictures in one pass."""


class Answer(NamedTuple):
    """What a function says about B pictures.

    Attributes:
        logits: Of the K choices, [B, K]; None for one that only estimates.
        value: What it estimates, [B]; None for one that only chooses.
        maps: Its own attention maps as they lie on the pictures, [B, m, h, w]; None without.
        evidence: What speaks for each choice, where, [B, K, h, w]; None without.
        sign: -1 where gradient methods explain what lowers the value, 1 where what raises it, [B];
            None is what raises it, everywhere.
    """

    logits: Tensor | None
    value: Tensor | None
    maps: Tensor | None = None
    evidence: Tensor | None = None
    sign: Tensor | None = None


AskMaps = Callable[[Tensor, Tensor, Tensor], Answer]
"""From maps to act on [B, m, h, w], features and numbers, to the answer."""
Ask = Callable[[Tensor, Tensor], Answer]
"""From pictures [B, C, H, W] and which of the N they stand for, int64 [B], to the answer.

The numbers find what belongs to a picture beside its pixels, such as an agent's memory.
"""


@dataclass(frozen=True)
class Subject:
    """A function and N pictures.

    Attributes:
        images: The pictures, float32 [N, C, H, W], in the function's own units.
        ask: The function.
        module: Its weights.
        grid: h and w: the cells in which all maps are compared.
        features: From pictures and numbers to the features [B, F, h', w'] that Grad-CAM reads; None
            without.
        ask_features: From features and numbers to the answer.
        rebuilt: The same function with other weights, of a copy of `module`; None where it cannot.
        cam: From pictures and numbers to class activation maps, [B, K, h', w'], where the choices
            are a linear layer of averaged features; None where they are not.
        previous: The pictures a moment before, [N, C, H, W], for motion; None where there are none.
        ask_maps: The answer when it acts on other maps than its own; None where it cannot, or where
            the maps that it acts on have more than a value a location.
        batch: Pictures in one pass, at most.
    """

    images: Tensor
    ask: Ask
    module: nn.Module
    grid: tuple[int, int]
    features: Callable[[Tensor, Tensor], Tensor] | None = None
    ask_features: Ask | None = None
    rebuilt: Callable[[nn.Module], Subject] | None = None
    cam: Callable[[Tensor, Tensor], Tensor] | None = None
    previous: Tensor | None = None
    ask_maps: AskMaps | None = None
    batch: int = BATCH

    @property
    def n(self) -> int:
        """N, how many pictures there are."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the function runs."""
        return self.images.device

    @property
    def has_maps(self) -> bool:
        """Whether it has maps that lie on the pictures."""
        return self.part(torch.zeros(1, dtype=torch.int64)).answers().maps is not None

    def batches(self, size: int = BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the pictures in parts with their numbers."""
        size = min(size, self.batch)
        numbers = torch.arange(self.n, device=self.device)
        yield from zip(self.images.split(size), numbers.split(size), strict=True)

    def part(self, which: Tensor) -> Subject:
        """Returns the same function with some of the pictures.

        Args:
            which: Their numbers, int64 [n].
        """
        which = which.to(self.device)
        rebuilt, ask_maps = self.rebuilt, self.ask_maps
        return Subject(
            self.images[which],
            lambda pixels, numbers: self.ask(pixels, which[numbers]),
            self.module,
            self.grid,
            _of_part(self.features, which),
            _of_part(self.ask_features, which),
            None if rebuilt is None else lambda module: rebuilt(module).part(which),
            _of_part(self.cam, which),
            None if self.previous is None else self.previous[which],
            None if ask_maps is None else lambda maps, f, n: ask_maps(maps, f, which[n]),
            self.batch,
        )

    @torch.no_grad()
    def answers(self, images: Tensor | None = None, numbers: Tensor | None = None) -> Answer:
        """Asks about pictures, in parts and without gradients.

        Args:
            images: [B, C, H, W]; None is the N pictures as they are.
            numbers: Which of the N they stand for, [B]; None is all in order.
        """
        images = self.images if images is None else images
        if numbers is None:
            numbers = torch.arange(self.n, device=self.device)
        parts = [
            self.ask(some, which)
            for some, which in zip(images.split(self.batch), numbers.split(self.batch), strict=True)
        ]
        return Answer(*map(_joined, zip(*parts, strict=True)))

    def own_map(self, number: int = 0) -> Tensor:
        """Returns one of the function's own maps, [N, h, w] of its grid; the function has maps."""
        maps = self.answers().maps
        assert maps is not None
        return to_cells(maps[:, number], self.grid)

    @torch.no_grad()
    def variants(self, n: int, make: Callable[[Tensor, Tensor], Tensor]) -> Answer:
        """Asks about n variants of every picture, in full batches; all of the first variant first.

        Args:
            n: How many.
            make: From the numbers of variants and of pictures, int64 [B] each, to images
                [B, C, H, W].

        Returns:
            Of n * N pictures, without maps and evidence.
        """
        numbers = torch.arange(self.n, device=self.device).repeat(n)
        which = torch.arange(n, device=self.device).repeat_interleave(self.n)
        parts = []
        for variant, number in zip(which.split(self.batch), numbers.split(self.batch), strict=True):
            answer = self.ask(make(variant, number), number)
            parts.append(answer._replace(maps=None, evidence=None))
        return Answer(*map(_joined, zip(*parts, strict=True)))


def _of_part(
    function: Callable[[Tensor, Tensor], T] | None, which: Tensor
) -> Callable[[Tensor, Tensor], T] | None:
    if function is None:
        return None
    return lambda pixels, numbers: function(pixels, which[numbers])


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.cat(found) if found else None
