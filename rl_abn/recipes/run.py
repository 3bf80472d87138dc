"""Schema of a run of the Atari track: all that it was made of."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from rl_abn.recipes.agent import AgentRecipe
from rl_abn.recipes.env import EnvRecipe
from rl_abn.recipes.table import Label, Table


class RunRecipe(Table):
    """A run's resolved recipe: its recipes' names and contents, and the seed of the run."""

    agent_name: Label
    env_name: Label
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    agent: AgentRecipe
    env: EnvRecipe

    @model_validator(mode="after")
    def _protocol_exists(self) -> Self:
        if self.agent.train.protocol not in self.env.protocol:
            raise ValueError(
                f"expected train.protocol of {sorted(self.env.protocol)}, "
                f"got '{self.agent.train.protocol}'"
            )
        return self
