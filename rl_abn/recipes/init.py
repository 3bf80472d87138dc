"""Schema of `[init]`: the agent whose weights a training begins with."""

from __future__ import annotations

from rl_abn.recipes.other_agent import OtherAgentTable


class InitTable(OtherAgentTable):
    """The agent whose weights a training begins with, in the place of random ones.

    It has the same network and plays the same game with the same actions. Optimizer, schedules and
    step count begin anew. A zip is taken for the run's own agent where `agent` does not say.
    """
