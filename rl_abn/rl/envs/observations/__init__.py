"""From the emulators' screens to what an agent sees.

A pipeline is one file and one entry in `PIPELINES`; its name is one that `Protocol.observations`
takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rl_abn.recipes import Protocol
from rl_abn.rl.envs.observations.dqn import DqnPipeline
from rl_abn.rl.envs.observations.mask_a3c import MaskA3CPipeline
from rl_abn.rl.envs.observations.pipeline import Pipeline, Screens

PIPELINES: Mapping[str, Callable[[Protocol, int], Pipeline]] = {
    "dqn": DqnPipeline,
    "mask_a3c": MaskA3CPipeline,
}


def make_pipeline(protocol: Protocol, n_games: int) -> Pipeline:
    """Makes the pipeline of a protocol for some games."""
    return PIPELINES[protocol.observations](protocol, n_games)


__all__ = ["PIPELINES", "DqnPipeline", "MaskA3CPipeline", "Pipeline", "Screens", "make_pipeline"]
