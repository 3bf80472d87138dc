"""Plays a recorded game again, exactly: from the state before any step on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import Intervention
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.recipes import Preprocessing, Protocol, RunRecipe
from rl_abn.recipes.overrides import validate
from rl_abn.record import Episode
from rl_abn.rl.envs.make import AnyProtocol, AnySingleEnv, make_single_env
from rl_abn.rl.envs.single_env import SingleEnv, SingleEnvStep
from rl_abn.rl.evaluation.interventions import read_interventions
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.rl.training.build import load_policy
from rl_abn.runs import Run
from rl_abn.runs.tensors import hash_of

CONTINUES = "continues"
"""In the source of an episode that begins in the middle of a game: what it goes on from."""


class Replay:
    """A recorded game on an emulator, which goes to any step and on from there.

    It starts from the newest state before a step and repeats the recorded actions. Environments
    without states, and interventions that remember earlier steps, start at the game's beginning.

    Args:
        episode: The episode, of an Atari agent or one of a Gymnasium environment.
        agent: Who played, as `player_of` returns it: it sees every step on the way, so that its
            memory and its draws are those of the recording too. None repeats the game alone.

    Attributes:
        env: The game.
        step: The step that is next.
        observation: The agent's observation before it, [C, H, W].
        lost_life: Whether a life was lost just before it.

    Raises:
        RlAbnError: If the episode does not say which game it is, or it cannot be made.
    """

    def __init__(self, episode: Episode, agent: AgentPlayer | None = None) -> None:
        self.episode = episode
        self.agent = agent
        self.recipe, self.protocol = game_of(episode)
        self.env: AnySingleEnv = make_single_env(self.recipe.env, self.protocol)
        if tuple(self.env.action_names) != episode.meta.action_names:
            raise RlAbnError(
                f"{episode.path}: expected the actions {', '.join(self.env.action_names)}, got "
                f"{', '.join(episode.meta.action_names)}"
            )
        self.step = -1
        self.lost_life = False
        self.observation: np.ndarray
        self._strayed = False

    def go_to(self, step: int) -> np.ndarray:
        """Goes to a step, before its action.

        Returns:
            The observation, [C, H, W].

        Raises:
            RlAbnError: If there is no such step, or the emulator does not repeat the recording.
        """
        start, state = self._start(step)
        if self._strayed or not start <= self.step <= step:
            self._restore(start, state)
        while self.step < step:
            self.advance()
        self._check()
        return self.observation

    def advance(self, frames: list[np.ndarray] | None = None) -> PolicyOutput | None:
        """Plays the recorded action of the step that is next.

        Args:
            frames: Gets the colour frames of the step as they come, the skipped ones too.

        Returns:
            What the agent computed at it, a batch of one; None without an agent.

        Raises:
            RlAbnError: If the episode ends before it.
        """
        recorded = self.episode.step(self.step)
        strayed = self._strayed
        output = None
        if self.agent is not None:
            output = self._act(self.agent, self.glimpse(self.agent, recorded))[1]
        outcome = self.play(int(recorded["action"]), frames)
        self._strayed = strayed
        if outcome.reward != float(recorded["reward"]):
            raise self._differs("reward")
        return output

    def decide(self) -> tuple[int, PolicyOutput]:
        """Lets the agent act on the observation; its memory and its draws go on.

        Returns:
            The action it takes, and its output, a batch of one.
        """
        assert self.agent is not None
        self._strayed = True
        return self._act(self.agent)

    def play(self, action: int, frames: list[np.ndarray] | None = None) -> SingleEnvStep:
        """Takes any action in the game; `go_to` comes back to the recording.

        Args:
            action: Index of the action.
            frames: As in `advance`.
        """
        self._strayed = True
        lives = self.env.lives
        if frames is None:
            outcome = self.env.step(action)
        else:
            assert isinstance(self.env, SingleEnv)
            outcome = self.env.step(action, lambda frame: frames.append(frame.copy()))
        self.observation, self.lost_life = outcome.observation, self.env.lives < lives
        self.step += 1
        return outcome

    @property
    def is_start(self) -> bool:
        """Whether the step that is next is the first of a game, where an agent's memory is empty.

        An episode that goes on from a step of another has no such step.
        """
        return self.step == 0 and CONTINUES not in self.episode.meta.source

    def skipped_frames(self, max_steps: int | None = None) -> Iterator[list[np.ndarray]]:
        """Yields the frames of each step: the one before the action, then those skipped after it.

        Raises:
            RlAbnError: If the environment is no emulator, or does not repeat the recording.
        """
        if not isinstance(self.env, SingleEnv):
            raise RlAbnError(
                f"{self.episode.path}: expected a game of ALE to show its skipped frames, got "
                f"'{self.recipe.env_name}'"
            )
        self.go_to(0)
        n = self.episode.n_steps if max_steps is None else min(max_steps, self.episode.n_steps)
        for step in range(n):
            self._check()
            frames = [self.episode.frame(step)]
            self.advance(frames)
            yield frames[: self.episode.meta.frames_per_step]

    def glimpse(self, agent: AgentPlayer, recorded: Mapping[str, Any]) -> Tensor | None:
        """Returns where hard attention looked at a step, int64 [1]; None for other agents.

        Args:
            agent: Who played.
            recorded: What is recorded of the step.

        Raises:
            RlAbnError: If it is no location of the agent's.
        """
        looked, n_locations = recorded.get("glimpse"), agent.policy.n_locations
        if looked is None or not n_locations:
            return None
        place = np.asarray(looked)
        is_whole = place.shape == () and np.issubdtype(place.dtype, np.integer)
        if not is_whole or not 0 <= place < n_locations:
            raise RlAbnError(
                f"{self.episode.path}: expected a glimpse at one of {n_locations} locations at "
                f"step {self.step:,}, got {str(looked)[:20]!a}"
            )
        return torch.tensor([int(place)], device=agent.policy.device)

    def _act(self, agent: AgentPlayer, glimpse: Tensor | None = None) -> tuple[int, PolicyOutput]:
        """Lets the agent act; a glimpse says where hard attention looks, int64 [1]."""
        start, lost_life = np.array([self.is_start]), np.array([self.lost_life])
        actions, output = agent.act(self.observation[None], start, lost_life, glimpse)
        assert output is not None
        return int(actions[0]), output

    def _start(self, step: int) -> tuple[int, dict[str, np.ndarray]]:
        """Returns the step to start from to reach a step, and the state there."""
        remembers = self.agent is not None and self.agent.intervention is not None
        from_the_start = not isinstance(self.env, SingleEnv) or remembers
        self.episode.step(step)
        try:
            return self.episode.state_before(0 if from_the_start else step)
        except RlAbnError:
            if isinstance(self.env, SingleEnv):
                raise
            return 0, {}

    def _restore(self, step: int, state: dict[str, np.ndarray]) -> None:
        self.step = -1
        try:
            if isinstance(self.env, SingleEnv):
                self.observation = self.env.restore(state)
            else:
                self.observation = self.env.reset(_seed(self.episode, "game"))
            if self.agent is not None:
                self.agent.restore(state)
                if self.agent.intervention is not None:
                    self.agent.intervention = intervention_of(self.episode, self.agent.policy)
        except RlAbnError as error:
            raise RlAbnError(f"{self.episode.path}: {error}") from None
        self.step, self.lost_life = step, bool(self.episode.step(step)["lost_life"])
        self._strayed = False

    def _check(self) -> None:
        if not np.array_equal(self.env.frame, self.episode.frame(self.step)):
            raise self._differs("screen")

    def _differs(self, what: str) -> RlAbnError:
        versions = self.episode.meta.source.get("versions")
        version = versions.get("ale-py") if isinstance(versions, dict) else None
        by = f"with ale-py {str(version)[:20]}" if version else "elsewhere"
        return RlAbnError(
            f"{self.episode.path}: expected the recorded {what} at step {self.step:,}, "
            f"got another: it was recorded {by}"
        )


def game_of(episode: Episode) -> tuple[RunRecipe, AnyProtocol]:
    """Returns the recipe of an episode's run, and the protocol it was played under.

    Raises:
        RlAbnError: If `meta.json` does not have them, or they are invalid.
    """
    where = f"{episode.path}: meta.json"
    recipe = validate(RunRecipe, _table(episode, "recipe"), where)
    played = _table(episode, "game").get("protocol")
    played = played if isinstance(played, dict) else {}
    if recipe.env.kind == "atari":
        return recipe, validate(Protocol, played, where)
    return recipe, validate(Preprocessing, played, where)


def player_of(episode: Episode, run: Run | None = None, device: str = "auto") -> AgentPlayer:
    """Makes the agent that played an episode, as it was before the first step.

    Args:
        episode: The episode.
        run: The agent's run; None finds it above the episode, or where it was when it was recorded.
        device: Where the network runs.

    Raises:
        RlAbnError: If the run is not there, or has no checkpoint with the weights that played.
    """
    agent = _table(episode, "agent")
    run = run or _run_of(episode, agent)
    step = agent.get("step")
    for choice in (step if type(step) is int else -1, "best"):
        try:
            checkpoint = run.checkpoint(choice)
            policy = load_policy(run, checkpoint, device_of(device))
        except RlAbnError:
            continue
        if hash_of(policy.state_dict()) == agent.get("sha256"):
            break
    else:
        raise RlAbnError(
            f"{run.path}: expected a checkpoint at step {str(step)[:20]} with the weights that "
            f"played {episode.path}, got none"
        )
    return AgentPlayer(
        run.recipe.agent_name,
        policy,
        greedy=agent.get("greedy") is True,
        seed=0 if agent.get("seed") is None else _seed(episode, "agent"),
        intervention=intervention_of(episode, policy),
    )


def intervention_of(episode: Episode, policy: AttentionPolicy) -> Intervention | None:
    """Returns the intervention under which an episode was played, at its start; None for none.

    Raises:
        RlAbnError: If there is no such intervention or map.
    """
    label = _table(episode, "agent").get("intervention")
    if label is None:
        return None
    recipe = validate(RunRecipe, _table(episode, "recipe"), f"{episode.path}: meta.json")
    specs = read_interventions([str(label)], recipe.agent_name, recipe.agent)
    if len(specs) != 1:
        raise RlAbnError(f"{episode.path}: expected one intervention, got {str(label)[:60]!a}")
    return specs[0].make(policy, _seed(episode, "agent"))


def _run_of(episode: Episode, agent: dict[str, Any]) -> Run:
    above = episode.path.resolve().parent.parent
    for path in (above, Path(str(agent.get("run"))[:4096])):
        try:
            return Run.open(path)
        except RlAbnError as error:
            last = error
    raise last


def _table(episode: Episode, name: str) -> dict[str, Any]:
    found = episode.meta.source.get(name)
    if not isinstance(found, dict):
        raise RlAbnError(f"{episode.path}: expected '{name}' in the source of meta.json, got none")
    return found


def _seed(episode: Episode, of: str) -> int:
    seed = _table(episode, of).get("seed")
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise RlAbnError(f"{episode.path}: expected the {of}'s seed, got {str(seed)[:20]!a}")
    return seed
