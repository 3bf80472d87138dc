"""Feature extractors and perception stages, split where the attention branch attaches.

A network is a `Network`: it builds the extractor up to the split and the perception stage after
it. It is one file and one line in `NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from rl_abn.networks.episodic_store import EpisodicStore
from rl_abn.networks.impala import ImpalaNetwork
from rl_abn.networks.mask_a3c import MaskA3CNetwork
from rl_abn.networks.memory import MEMORIES, Lstm, forget, has_memory
from rl_abn.networks.nature import NatureNetwork, WideNatureNetwork
from rl_abn.networks.network import Network, check_size, trace_shape
from rl_abn.networks.recurrent_attention import RecurrentAttention

NETWORKS: Mapping[str, type[Network]] = {
    "nature": NatureNetwork,
    "nature_wide": WideNatureNetwork,
    "impala": ImpalaNetwork,
    "mask_a3c": MaskA3CNetwork,
}

__all__ = [
    "MEMORIES",
    "NETWORKS",
    "EpisodicStore",
    "ImpalaNetwork",
    "Lstm",
    "MaskA3CNetwork",
    "NatureNetwork",
    "Network",
    "RecurrentAttention",
    "WideNatureNetwork",
    "check_size",
    "forget",
    "has_memory",
    "trace_shape",
]
