"""The agent behind an episode: whether it can be asked, and its replay, kept warm at a step."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import MapOverride
from rl_abn.errors import RlAbnError
from rl_abn.files.stamp import file_stamp
from rl_abn.recipes import RunRecipe
from rl_abn.record import Episode
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.replay import CONTINUES, Replay, game_of, player_of
from rl_abn.rl.policies.outputs import PolicyOutput, PolicyState
from rl_abn.runs import Run
from rl_abn.runs.checkpoints import WEIGHTS
from rl_abn.view.episodes import OpenEpisode, steps_looked_back
from rl_abn.view.library import Library
from rl_abn.view.painted import Maps

KEPT = 3
KEPT_MOMENTS = 64


class Moment(NamedTuple):
    """A step of a recorded game, before its action, as the agent meets it.

    Attributes:
        step: The step.
        observation: A batch of one, [1, C, H, W].
        state: The memory with which it sees the observation; None without one.
        glimpse: Where an agent with hard attention looked, int64 [1]; None for others.
        own: What it computes with its own maps.
    """

    step: int
    observation: Tensor
    state: PolicyState
    glimpse: Tensor | None
    own: PolicyOutput


class Asked:
    """An episode whose agent is at hand, and its replay at the step that was asked for last.

    Args:
        opened: The episode.
        run: Its agent's run.

    Attributes:
        opened: The episode.
        agent: Who played; a question leaves it as it is.
        maps: What its maps are.
        lock: Held by whoever asks.

    Raises:
        RlAbnError: If the run has no checkpoint with the weights that played.
    """

    def __init__(self, opened: OpenEpisode, run: Run) -> None:
        self.opened = opened
        self.agent = player_of(opened.episode, run)
        self.lock = RLock()
        self.maps = maps_of(opened.episode, self.agent)
        has_memory = self.agent.policy.settings.has_memory
        # Without a memory there is nothing to learn on the way: the emulator alone is faster.
        self.replay = Replay(opened.episode, self.agent if has_memory else None)
        self._moments: OrderedDict[int, Moment] = OrderedDict()

    def moment(self, step: int) -> Moment:
        """Returns a step as the agent meets it; the last few are kept.

        Raises:
            RlAbnError: If there is no such step, or the emulator does not repeat the recording.
        """
        with self.lock:
            if step in self._moments:
                self._moments.move_to_end(step)
                return self._moments[step]
            with self.opened.lock:
                observation = self.replay.go_to(step)
                recorded = self.opened.episode.step(step)
            device = self.agent.policy.device
            state = None
            if self.replay.agent is not None:
                state = self.agent.remembered(
                    np.array([self.replay.is_start]), np.array([self.replay.lost_life])
                )
            seen = torch.as_tensor(observation[None].copy(), device=device)
            looked = self.replay.glimpse(self.agent, recorded)
            moment = Moment(
                step, seen, state, looked, attend(self.agent, seen, state, None, looked)
            )
            self._moments[step] = moment
            if len(self._moments) > KEPT_MOMENTS:
                self._moments.popitem(last=False)
            return moment


class Agents:
    """The agents that were asked last.

    Args:
        library: What is served.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._matches: dict[tuple[object, ...], bool] = {}
        self._lock = RLock()

    def run_of(self, opened: OpenEpisode) -> Run:
        """Returns the served run that an episode was played from.

        Raises:
            RlAbnError: If its agent cannot be asked, with the reason.
        """
        source = opened.episode.meta.source
        agent = source.get("agent")
        agent = agent if isinstance(agent, dict) else {}
        recipe, _ = game_of(opened.episode)
        if recipe.env.kind != "atari":
            raise RlAbnError("expected a game of ALE, got an environment that keeps no states")
        if not opened.episode.meta.map_names:
            raise RlAbnError("expected an agent with attention maps, got one without")
        if agent.get("intervention") is not None:
            raise RlAbnError(
                "expected a recording with the agent's own maps, got one whose maps were "
                f"{str(agent['intervention'])[:40]}"
            )
        goes_on = source.get(CONTINUES)
        is_edited = isinstance(goes_on, dict) and goes_on.get("edit") is not None
        attention = recipe.agent.attention.abilities
        if is_edited and (recipe.agent.network.memory != "none" or attention.remembers):
            raise RlAbnError(
                "expected a game with the agent's own maps, as its memory depends on them, got "
                "one with edited maps"
            )
        run = self._find_run(opened, recipe, agent)
        step = agent.get("step")
        best = step if type(step) is int else -1
        if not any(found.step == best for found in (*run.checkpoints, *run.recoveries)):
            try:
                if run.checkpoint("best").step != best:
                    raise RlAbnError("another step")
            except RlAbnError:
                raise RlAbnError(
                    f"expected the checkpoint that played (step {str(step)[:20]}), got none: "
                    "it was removed"
                ) from None
        return run

    def get(self, opened: OpenEpisode) -> Asked:
        """Returns the agent of an episode.

        Raises:
            RlAbnError: If it cannot be asked, with the reason.
        """
        name = opened.found.id
        with self._lock:
            known = self._asked.get(name)
            if known is None or known.opened is not opened:
                known = self._asked[name] = Asked(opened, self.run_of(opened))
            self._asked.move_to_end(name)
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
            return known

    def _find_run(self, opened: OpenEpisode, recipe: RunRecipe, agent: dict[str, Any]) -> Run:
        """Returns the run that an episode lies in, was played from, or has the weights of."""
        if opened.found.run is not None:
            return self.library.run(opened.found.run).run
        named = Path(str(agent.get("run"))[:4096])
        runs = [found.run for found in list(self.library.runs.values()) if found.track == "rl"]
        for run in runs:
            if run.path == named:
                return run
        names = (recipe.env_name, recipe.agent_name)
        for run in runs:
            is_alike = (run.recipe.env_name, run.recipe.agent_name) == names
            if is_alike and self._played(run, opened.episode, agent):
                return run
        raise RlAbnError(
            "expected the run of the agent that played among those served, got none; serve it "
            "too: rl-abn view … RUN"
        )

    def _played(self, run: Run, episode: Episode, agent: dict[str, Any]) -> bool:
        """Returns whether a run has a checkpoint with the weights that played an episode."""
        stamps = [file_stamp(point.path / WEIGHTS) for point in run.checkpoints]
        key = (str(agent.get("step")), str(agent.get("sha256")), run.path, *stamps)
        with self._lock:
            if key not in self._matches:
                try:
                    player_of(episode, run)
                    self._matches[key] = True
                except RlAbnError:
                    self._matches[key] = False
            return self._matches[key]


def attend(
    agent: AgentPlayer,
    observation: Tensor,
    state: PolicyState,
    override: MapOverride | None,
    glimpse: Tensor | None = None,
) -> PolicyOutput:
    """Computes what an agent would, a batch of one; nothing of it changes.

    Args:
        agent: The agent.
        observation: [1, C, H, W].
        state: Its memory before.
        override: The maps to act on; None are its own.
        glimpse: Where hard attention looks; None is the most probable location.
    """
    policy = agent.policy
    with policy.compute.acting(policy.device, 1, agent.weights):
        output, _ = policy.attend(observation, state, override, glimpses=glimpse)
    return output


def maps_of(episode: Episode, agent: AgentPlayer) -> Maps:
    """Returns what an agent's maps are, by a recording of them."""
    _, rows, columns = episode.meta.arrays["maps"].shape
    abilities = agent.policy.settings.abilities
    length = steps_looked_back(episode) if abilities.maps == "temporal" else None
    parts = 1 if length is None else rows // length
    return Maps(agent.map_names, (rows, columns), abilities, parts)
