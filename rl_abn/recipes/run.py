"""Schema of a run of the Atari track: all that it was made of."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from rl_abn.recipes.agent import AgentRecipe
from rl_abn.recipes.env import EnvRecipe
from rl_abn.recipes.gymnasium_env import KIND, GymnasiumRecipe
from rl_abn.recipes.table import Label, Table

AnyEnvRecipe = EnvRecipe | GymnasiumRecipe


def _kind_of_env(env: object) -> str:
    kind = env.get("kind") if isinstance(env, dict) else getattr(env, "kind", None)
    return "<gymnasium>" if kind == KIND else "<atari>"


# pydantic puts the tags into an error's location; no key looks like them.
_Env = Annotated[
    Annotated[EnvRecipe, Tag("<atari>")] | Annotated[GymnasiumRecipe, Tag("<gymnasium>")],
    Discriminator(_kind_of_env),
]


class RunRecipe(Table):
    """A run's resolved recipe: its recipes' names and contents, and the seed of the run."""

    agent_name: Label
    env_name: Label
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    agent: AgentRecipe
    env: _Env

    @property
    def protocol_name(self) -> str:
        """Name of the protocol it is trained under."""
        return self.env.protocol_name(self.agent.train.protocol)

    @model_validator(mode="after")
    def _protocol_exists(self) -> Self:
        if self.protocol_name not in {str(name) for name in self.env.protocol}:
            raise ValueError(
                f"expected train.protocol of {sorted(self.env.protocol)}, "
                f"got '{self.agent.train.protocol}'"
            )
        return self
