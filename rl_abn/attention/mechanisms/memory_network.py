"""Memories that are read by content, in several hops: memory networks, key-value memories."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from rl_abn.attention.mechanism import AttentionSite
from rl_abn.attention.mechanisms.remembering import (
    RememberingMechanism,
    StepEmbedding,
    shares_of_known,
)


class HoppingMechanism(RememberingMechanism):
    """Reads a memory in K hops, each asking with what the last one found; a subclass says how.

    Maps have the shares of every hop below each other, over the number of hops.

    Args:
        site: Where it attaches.
        hops: K.
        length: L, see `RememberingMechanism`.
        size: D, likewise.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(
        self, site: AttentionSite, *, hops: int = 2, length: int = 16, size: int = 64
    ) -> None:
        super().__init__(site, length=length, size=size)
        if hops < 1:
            raise ValueError(f"expected hops of 1 or more, got {hops}")
        self.hops = hops
        self.question = StepEmbedding(self.n_features, size)

    def memories(
        self, hop: int, entries: Float[Tensor, "B L E"]
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        """Returns what a hop's question is compared with, and what it reads."""
        raise NotImplementedError

    def next_question(
        self, hop: int, question: Float[Tensor, "B D"], found: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B D"]:
        """Returns what the hop after this one asks."""
        raise NotImplementedError

    def look(
        self,
        features: Float[Tensor, "B C h w"],
        entries: Float[Tensor, "B L E"],
        known: Bool[Tensor, "B L"],
    ) -> Float[Tensor, "B KL 1"]:
        """Computes the shares of all hops, each by the shares of those before it."""
        question, maps = self.question(features), []
        for hop in range(self.hops):
            keys, values = self.memories(hop, entries)
            maps.append(shares_of_known((keys * question[:, None]).sum(dim=2), known))
            found = (maps[-1][..., None] * values).sum(dim=1)
            question = self.next_question(hop, question, found.to(question.dtype))
        return torch.cat(maps, dim=1)[..., None] / self.hops

    def read(
        self,
        features: Float[Tensor, "B C h w"],
        attention_map: Float[Tensor, "B KL 1"],
        entries: Float[Tensor, "B L E"],
    ) -> Float[Tensor, "B D"]:
        """Returns the question after the last hop."""
        question: Tensor = self.question(features)
        for hop, weights in enumerate(attention_map.chunk(self.hops, dim=1)):
            _, values = self.memories(hop, entries)
            found = (self.hops * weights * values).sum(dim=1)
            question = self.next_question(hop, question, found.to(question.dtype))
        return question


class MemoryNetwork(HoppingMechanism):
    """An end-to-end memory network over the last steps (Sukhbaatar et al., NeurIPS 2015).

    p_i = softmax(u · m_i) and o = Σ p_i c_i (eq. 1 and 2), where m_i = A x_i + T_A(i) and
    c_i = C x_i + T_C(i) (section 4.1); x_i are the entries, embeddings of features, and i is how
    long ago they were written. The next hop asks with u + o (eq. 4).

    Args:
        site: Where it attaches.
        hops: K.
        tying: "adjacent" has K + 1 pairs of matrices and times, a hop's C being the next one's A;
            "layerwise" has one A and one C for all hops and asks with H u + o (section 2.2).
        length: L, see `RememberingMechanism`.
        size: D, likewise.

    Raises:
        ValueError: If a number is below 1, or there is no such tying.
    """

    def __init__(
        self,
        site: AttentionSite,
        *,
        hops: int = 2,
        tying: str = "adjacent",
        length: int = 16,
        size: int = 64,
    ) -> None:
        super().__init__(site, hops=hops, length=length, size=size)
        if tying not in ("adjacent", "layerwise"):
            raise ValueError(f"expected a tying of 'adjacent' or 'layerwise', got '{tying}'")
        self.entry_size = size
        self.entry = StepEmbedding(self.n_features, size)
        self.adjacent = tying == "adjacent"
        count = hops + 1 if self.adjacent else 2
        self.embeddings = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(count))
        self.times = nn.Parameter(0.1 * torch.randn(count, length, size))  # as the authors' code
        self.carry = None if self.adjacent else nn.Linear(size, size, bias=False)

    def write(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E"]:
        """Computes x, what is kept of a step."""
        entry: Tensor = self.entry(features)
        return entry

    def memories(
        self, hop: int, entries: Float[Tensor, "B L E"]
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        """Returns m and c."""
        first = hop if self.adjacent else 0
        keys, values = (self.embeddings[i](entries) + self.times[i] for i in (first, first + 1))
        return keys, values

    def next_question(
        self, hop: int, question: Float[Tensor, "B D"], found: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B D"]:
        """Returns u + o, or H u + o."""
        return (question if self.carry is None else self.carry(question)) + found


class KeyValueMemory(HoppingMechanism):
    """A key-value memory network over the last steps (Miller et al., EMNLP 2016, section 3).

    Keys and values are written apart: a step is found by its key and read by its value. The next
    hop asks with R_j (q + o).

    Args:
        site: Where it attaches.
        hops: K.
        length: L, see `RememberingMechanism`.
        size: D, likewise.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(
        self, site: AttentionSite, *, hops: int = 2, length: int = 16, size: int = 64
    ) -> None:
        super().__init__(site, hops=hops, length=length, size=size)
        self.entry_size = 2 * size
        self.key = StepEmbedding(self.n_features, size)
        self.value = StepEmbedding(self.n_features, size)
        self.asks_next = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(hops))

    def write(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B E"]:
        """Computes the key and the value of a step."""
        return torch.cat([self.key(features), self.value(features)], dim=1)

    def memories(
        self, hop: int, entries: Float[Tensor, "B L E"]
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        """Returns keys and values; they are the same at every hop."""
        keys, values = entries.chunk(2, dim=2)
        return keys, values

    def next_question(
        self, hop: int, question: Float[Tensor, "B D"], found: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B D"]:
        """Returns R_j (q + o)."""
        asked: Tensor = self.asks_next[hop](question + found)
        return asked
