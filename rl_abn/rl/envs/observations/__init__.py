"""Observation pipelines: from the emulators' frames to what an agent sees.

A pipeline is one file and one entry in `PIPELINES`; `Protocol.observations` selects it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.observations.dqn import DqnPipeline
from rl_abn.rl.envs.observations.mask_a3c import MaskA3CPipeline
from rl_abn.rl.envs.observations.pipeline import FrameSpec, Pipeline

PIPELINES: Mapping[str, Callable[[Protocol, int], Pipeline]] = {
    "dqn": DqnPipeline,
    "mask_a3c": MaskA3CPipeline,
}


def make_pipeline(protocol: Protocol, n_envs: int) -> Pipeline:
    """Builds a protocol's pipeline for `n_envs` parallel games."""
    return PIPELINES[protocol.observations](protocol, n_envs)


__all__ = ["PIPELINES", "DqnPipeline", "FrameSpec", "MaskA3CPipeline", "Pipeline", "make_pipeline"]
