"""Which changed agents are asked for, read against the agent's maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from rl_abn.attention import INTERVENTIONS, Intervention
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import AgentRecipe
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.seeds import derive_seeds

EVERY, EACH = "all", "each"
_DRAWS = 5  # keeps an intervention's draws apart from those of games and actions


class Change(NamedTuple):
    """An agent with other maps.

    Attributes:
        intervention: A name in `INTERVENTIONS`.
        only: The name of the one map that is changed; None is all of them.
    """

    intervention: str
    only: str | None = None

    @property
    def label(self) -> str:
        """How it is asked for, such as "zero" or "zero:policy"."""
        return self.intervention if self.only is None else f"{self.intervention}:{self.only}"

    def make(self, policy: AttentionPolicy, seed: int) -> Intervention:
        """Makes the intervention for one series of games of a policy, seeded."""
        draws = int(derive_seeds(seed, _DRAWS, count=1)[0])
        return Intervention(
            self.intervention,
            None if self.only is None else policy.map_names.index(self.only),
            torch.Generator(policy.device).manual_seed(draws),
        )


def read_changes(words: Sequence[str], agent_name: str, agent: AgentRecipe) -> list[Change]:
    """Reads NAME, NAME:MAP and NAME:each; NAME may be "all".

    Args:
        words: What was asked for.
        agent_name: The agent's name.
        agent: Its recipe.

    Returns:
        Each change once, in the order asked for.

    Raises:
        RlAbnError: If the agent has no maps, or a name is unknown.
    """
    maps = agent.attention.map_names
    if words and not maps:
        raise RlAbnError(
            f"expected an agent with attention maps, got '{agent_name}', which has none to change"
        )
    changes = [change for word in words for change in _read(word, maps)]
    return list(dict.fromkeys(changes))


def _read(word: str, maps: tuple[str, ...]) -> list[Change]:
    name, colon, where = word.partition(":")
    if name not in (EVERY, *INTERVENTIONS):
        hint = did_you_mean(name, (EVERY, *INTERVENTIONS))
        raise RlAbnError(f"unknown intervention '{name}': {hint}")
    if colon and where not in (EACH, *maps):
        hint = did_you_mean(where, (EACH, *maps))
        raise RlAbnError(f"unknown map '{where}' in intervention '{word}': {hint}")
    # The only map there is, is all of them.
    alone: tuple[str | None, ...] = () if len(maps) == 1 else maps
    only = where if where in alone else None
    changed = (None, *alone) if where == EACH else (only,)
    names = INTERVENTIONS if name == EVERY else (name,)
    return [Change(name, which) for name in names for which in changed]
