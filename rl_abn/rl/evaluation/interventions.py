"""Which interventions on an agent's attention maps to evaluate, read from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from rl_abn.attention import INTERVENTIONS, Intervention, RememberingMechanism
from rl_abn.attention.interventions import Layout
from rl_abn.errors import RlAbnError, did_you_mean
from rl_abn.recipes import AgentRecipe
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.seeds import Stream, derive_seeds

ALL, EACH = "all", "each"


class InterventionSpec(NamedTuple):
    """An intervention, a name in `INTERVENTIONS`, on one of an agent's maps; None is all maps."""

    intervention: str
    map_name: str | None = None

    @property
    def label(self) -> str:
        """Its name on the command line, such as "zero" or "zero:policy"."""
        name, map_name = self
        return name if map_name is None else f"{name}:{map_name}"

    def make(self, policy: AttentionPolicy, seed: int) -> Intervention:
        """Builds the seeded intervention for one evaluation of a policy."""
        generator_seed = int(derive_seeds(seed, Stream.INTERVENTION, count=1)[0])
        return Intervention(
            self.intervention,
            None if self.map_name is None else policy.map_names.index(self.map_name),
            torch.Generator(policy.device).manual_seed(generator_seed),
            layout_of(policy),
        )


def layout_of(policy: AttentionPolicy) -> Layout:
    """Returns what the values of a policy's maps lie beside."""
    _, height, width = policy.features_extractor.out_shape
    mechanism = policy.mechanism
    steps = mechanism.length if isinstance(mechanism, RememberingMechanism) else None
    return Layout(policy.settings.abilities, (height, width), steps)


def read_interventions(
    labels: Sequence[str], agent_name: str, agent: AgentRecipe
) -> list[InterventionSpec]:
    """Reads labels of the form NAME, NAME:MAP or NAME:each; NAME may be "all".

    Returns:
        Each intervention once, in the order given.

    Raises:
        RlAbnError: If the agent has no maps, or a name is unknown.
    """
    maps = agent.attention.map_names
    if labels and not maps:
        raise RlAbnError(
            f"expected an agent with attention maps, got '{agent_name}', which has none to change"
        )
    specs = [spec for label in labels for spec in _read(label, maps)]
    return list(dict.fromkeys(specs))


def _read(label: str, maps: tuple[str, ...]) -> list[InterventionSpec]:
    name, colon, where = label.partition(":")
    if name not in (ALL, *INTERVENTIONS):
        hint = did_you_mean(name, (ALL, *INTERVENTIONS))
        raise RlAbnError(f"unknown intervention '{name}': {hint}")
    if colon and where not in (EACH, *maps):
        hint = did_you_mean(where, (EACH, *maps))
        raise RlAbnError(f"unknown map '{where}' in intervention '{label}': {hint}")
    # With one map only, naming it is the same as all maps.
    separate: tuple[str | None, ...] = () if len(maps) == 1 else maps
    map_name = where if where in separate else None
    map_names = (None, *separate) if where == EACH else (map_name,)
    names = INTERVENTIONS if name == ALL else (name,)
    return [InterventionSpec(name, map_name) for name in names for map_name in map_names]
