"""Maps that a person painted, and what holds for a player that acts on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import INTERVENTIONS, Abilities
from rl_abn.attention.interventions import Rule
from rl_abn.errors import RlAbnError
from rl_abn.map_editing.edits import shared_out
from rl_abn.view.bodies import Body, read_grid

HOW = ("once", "steps", "always")
MOST_STEPS = 2000
DRAWN = ("shuffled", "swap")
"""Interventions whose maps depend on a seed."""
Box = tuple[int, int, int, int]


class Maps(NamedTuple):
    """The maps of an agent, as an editor has to know them.

    Attributes:
        names: Of its m maps.
        size: Rows and columns of each.
        abilities: Of its mechanism.
        parts: How many heads, hops or glimpses lie below each other in a map of past steps; each
            has an equal share of its sum. 1 for other maps.
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    abilities: Abilities
    parts: int = 1


def intervention_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the interventions on maps of some names, as on the command line."""
    each = [""] if len(names) < 2 else ["", *(f":{name}" for name in names)]
    return tuple(f"{name}{of}" for name in INTERVENTIONS for of in each) if names else ()


class Painted(NamedTuple):
    """Maps painted for one moment, by name; those that are not named stay the agent's own.

    Attributes:
        maps: float32 [rows, columns] by name.
        names: Of all maps of the agent.
    """

    maps: Mapping[str, np.ndarray]
    names: tuple[str, ...]

    def replace(self, own: Tensor) -> Tensor:
        """Returns the maps to act on, [B, m, rows, columns], of the agent's own."""
        maps = own.clone()
        for name, values in self.maps.items():
            maps[:, self.names.index(name)] = torch.from_numpy(values).to(own)
        return maps


def read_painted(data: Any, maps: Maps) -> Painted:
    """Reads painted maps, {name: rows}.

    Values are kept within 0..1. Maps that share out a sum of 1 are divided by their sum, of
    pairwise maps each row is, of heads, hops and glimpses each one to its share: an agent's own
    never are otherwise.

    Raises:
        RlAbnError: If a name or a size is wrong.
    """
    body = Body(data, maps.names, "the map")
    if not body.data:
        raise RlAbnError(f"expected a map of {', '.join(maps.names)}, got none")
    found = {}
    for name, rows in body.data.items():
        values = np.clip(read_grid(rows, maps.size, f"map '{name}'"), 0.0, 1.0)
        if maps.abilities.sums_to_one:
            is_pairwise = maps.abilities.maps == "pairwise"
            groups = values.reshape(maps.size[0] if is_pairwise else maps.parts, -1)
            shares = shared_out(torch.from_numpy(groups)[:, None])
            values = shares.numpy().reshape(maps.size) / (1 if is_pairwise else maps.parts)
        found[name] = values.astype(np.float32)
    return Painted(found, maps.names)


class Plan(NamedTuple):
    """How an agent's maps are edited while it plays on.

    Attributes:
        painted: Maps that are put in place of its own; None with a standing rule alone.
        n_steps: For how many steps, from the first on; None is always.
        never_look_at: A box of map cells [left, top, right, bottom) that is emptied in its own
            maps; None for none.
        intervention: An intervention by name that replaces its maps; None for none.
    """

    painted: Painted | None
    n_steps: int | None
    never_look_at: Box | None = None
    intervention: str | None = None

    def rule(self, maps: Maps, intervention: Rule | None) -> Rule:
        """Returns the rule for one game that goes on from here; it counts its steps.

        Args:
            maps: The agent's.
            intervention: That of `intervention`, made anew; None for none.
        """
        step = 0

        def act_on(own: Tensor, episode_start: Tensor) -> Tensor:
            nonlocal step
            holds = self.n_steps is None or step < self.n_steps
            step += 1
            if not holds:
                return own
            changed = own if intervention is None else intervention(own, episode_start)
            if self.painted is not None:
                changed = self.painted.replace(changed)
            if self.never_look_at is not None:
                changed = without_box(changed, self.never_look_at, maps.abilities)
            return changed

        return act_on

    @property
    def draws(self) -> bool:
        """Whether its maps depend on a seed after the first step, which is that of a what-if."""
        return self.n_steps != 1 and (self.intervention or "").partition(":")[0] in DRAWN

    @property
    def label(self) -> str:
        """What is edited, in a few words."""
        if self.n_steps is None:
            until = "always"
        else:
            until = "once" if self.n_steps == 1 else f"for {self.n_steps:,} steps"
        if self.never_look_at is not None:
            left, top, right, bottom = self.never_look_at
            return f"never looks at columns {left}-{right - 1}, rows {top}-{bottom - 1} ({until})"
        if self.intervention is not None:
            return f"maps {self.intervention} ({until})"
        return f"painted maps ({until})"


def read_plan(data: Any, maps: Maps, interventions: tuple[str, ...]) -> Plan:
    """Reads how maps are edited: {"map", "how", "n", "rule"}.

    Raises:
        RlAbnError: If it says nothing, or something wrong.
    """
    body = Body(data, ("map", "how", "n", "rule"), "the edit")
    how = body.one_of("how", HOW, "once")
    n_steps = {"once": 1, "always": None}.get(how, 0)
    if how == "steps":
        n_steps = body.whole("n", 1, MOST_STEPS)
    painted = read_painted(body.data["map"], maps) if body.has("map") else None
    if not body.has("rule"):
        if painted is None:
            raise RlAbnError("expected a map or a rule in the edit, got neither")
        return Plan(painted, n_steps)
    rule = Body(body.data["rule"], ("kind", "box", "name"), "the rule")
    kind = rule.one_of("kind", ("never_look_at", "intervention"))
    if kind == "intervention":
        return Plan(None, n_steps, intervention=rule.one_of("name", interventions))
    return Plan(None, n_steps, never_look_at=_read_box(rule, maps))


def without_box(own: Tensor, box: Box, abilities: Abilities) -> Tensor:
    """Returns maps [B, m, rows, columns] without what lies in a box of cells.

    Maps that share out a sum of 1 share out what is left.
    """
    left, top, right, bottom = box
    maps = own.clone()
    maps[:, :, top:bottom, left:right] = 0.0
    return shared_out(maps) if abilities.sums_to_one else maps


def _read_box(rule: Body, maps: Maps) -> Box:
    if maps.abilities.maps != "spatial":
        raise RlAbnError(
            f"expected spatial maps for a rule on places, got {maps.abilities.maps} ones"
        )
    rows, columns = maps.size
    box = rule.data.get("box")
    fits = isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)
    if not fits or not (0 <= box[0] < box[2] <= columns and 0 <= box[1] < box[3] <= rows):  # type: ignore[index]
        raise RlAbnError(
            f"expected a box [left, top, right, bottom] in {columns}x{rows} map cells (columns x "
            f"rows), got {box!a:.60}"
        )
    assert isinstance(box, list)
    return box[0], box[1], box[2], box[3]
