"""Self-attention within blocks of locations: the Image Transformer."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rl_abn.attention.mechanism import AttentionSite
from rl_abn.attention.mechanisms.transformer import TransformerEncoder

FORMS = ("2d", "1d")


class ImageTransformer(TransformerEncoder):
    """The Transformer's encoder with local attention (Parmar et al., ICML 2018, section 3.3).

    Locations are cut in blocks of queries. Those of a block all look at the same memory block: at
    their own block and what lies around it. In one dimension ("1d") blocks are stretches of the
    rows laid end to end; in two ("2d") they are rectangles. The paper generates pictures, so its
    memory has nothing that is still to come; features are all there, and the memory lies on all
    sides.

    Args:
        site: Where it attaches.
        form: "2d" or "1d".
        block: l_q: locations of a query block; in two dimensions its height and width.
        memory: l_m: how far the memory block goes beyond it, on each side.
        options: Those of `TransformerEncoder`.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        form: str = "2d",
        block: int = 3,
        memory: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(site, **options)
        if form not in FORMS:
            raise ValueError(f"expected a form of {FORMS}, got '{form}'")
        if block < 1 or memory < 0:
            raise ValueError(
                f"expected a block of 1 or more and a memory of 0 or more, got {block} and {memory}"
            )
        self.form, self.block, self.memory = form, block, memory

    def allowed(self, features: Float[Tensor, "B C h w"]) -> Bool[Tensor, "N N"]:
        """Returns which locations are in the memory of which."""
        height, width = features.shape[2:]
        places = torch.arange(height * width, device=features.device)
        if self.form == "1d":
            return self._in_memory(places)
        return self._in_memory(places // width) & self._in_memory(places % width)

    def _in_memory(self, places: Tensor) -> Tensor:
        """Returns, along one dimension, whether j lies in the memory block of i, [N, N]."""
        first = places // self.block * self.block
        j, before, behind = places[None], first - self.memory, first + self.block + self.memory
        return (j >= before[:, None]) & (j < behind[:, None])
