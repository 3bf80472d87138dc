"""A trained agent for notebooks: it acts, shows its attention maps and plays whole games."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import Intervention, MapOverride
from rl_abn.attention.override import as_override
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.networks import forget
from rl_abn.recipes import RunRecipe
from rl_abn.rl.envs.make import AnyVecEnv, make_vec_env
from rl_abn.rl.evaluation.evaluate import check_observations, described, protocol_of
from rl_abn.rl.evaluation.interventions import read_interventions
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.record import record_run
from rl_abn.rl.evaluation.recording import RecordedGame
from rl_abn.rl.evaluation.results import RunEvaluation
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.watch import Video, watch_game
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import CheckpointChoice, Run

Override = str | np.ndarray | Tensor | Callable[[Tensor], Tensor]
"""Maps to act on instead, a function of the agent's own, or the name of an intervention."""


class Agent:
    """A run's agent at one of its checkpoints; `rl_abn.load` makes it.

    Args:
        run: The run.
        step: The checkpoint's step, or "best"; None is the newest.
        device: Where the network runs.
        seed: Of sampled actions, games and interventions.

    Attributes:
        run: The run.
        policy: The network, an SB3 policy, in evaluation mode.
        step: Agent steps it was trained for.
        seed: Of sampled actions, games and interventions.
        action_names: Names of the actions, by index.

    Raises:
        RlAbnError: If there is no such checkpoint or device.
    """

    def __init__(
        self, run: Run, *, step: CheckpointChoice = None, device: str = "auto", seed: int = 0
    ) -> None:
        checkpoint = run.checkpoint(step)
        self.run = run
        self.policy: AttentionPolicy = load_policy(run, checkpoint, device_of(device))
        self.step = checkpoint.step
        self.seed = seed
        self.action_names = tuple(self.make_env().action_names)
        self.reset(seed)

    @property
    def recipe(self) -> RunRecipe:
        """The resolved recipe of the run."""
        return self.run.recipe

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of `PolicyOutput.map`'s second dimension."""
        return self.policy.map_names

    def reset(self, seed: int | None = None) -> None:
        """Empties the memory and starts interventions anew.

        Args:
            seed: Sampled actions start anew from it; None goes on with those that come next, so
                that no two episodes are sampled alike.
        """
        if seed is not None:
            name = self.recipe.agent_name
            self._player = AgentPlayer(name, self.policy, greedy=False, seed=seed)
        self._player.state = None
        self._n: int | None = None
        self._interventions: dict[tuple[str, int], Intervention] = {}

    def act(
        self,
        obs: np.ndarray,
        deterministic: bool = False,
        episode_start: np.ndarray | bool | None = None,
    ) -> np.ndarray | np.int64:
        """Chooses actions, and carries the memory of agents that have one to the next call.

        Args:
            obs: Observations of n games, [n, C, H, W], or of one, [C, H, W].
            deterministic: Whether it takes the most probable actions instead of sampling.
            episode_start: Where the observation is the first of a game, bool [n]: the memory is
                emptied there. None is nowhere. Another n than before starts all games anew.

        Returns:
            Actions, int64 [n]; of one game without the dimension n, a single one.

        Raises:
            RlAbnError: If a shape or the dtype is wrong.
        """
        batch = self._batch(obs)
        starts = _starts(episode_start, len(batch))
        if len(batch) != self._n:
            self._n, self._player.state = len(batch), None
        self._player.greedy = deterministic
        actions, _ = self._player.act(batch, starts)
        return actions if np.ndim(obs) == 4 else actions[0]

    def attend(
        self,
        obs: np.ndarray,
        map_override: Override | None = None,
        episode_start: np.ndarray | bool | None = None,
    ) -> PolicyOutput:
        """Computes policies, values and maps; the memory is read and stays as it is.

        Hard attention looks at the most probable location; when it acts it samples one.

        Args:
            obs: Observations, [n, C, H, W], or of one game, [C, H, W], which is n = 1.
            map_override: Maps to act on, broadcastable to [n, m, h, w]: an array, a tensor, a
                function of the agent's own (float32 on the CPU), or the name of an intervention
                such as "zero" or "inverted:policy".
            episode_start: As in `act`; "frozen" holds the map of a game's start.

        Returns:
            Tensors on the CPU without gradients, which NumPy and Matplotlib take as they are.
            `agent.policy.attend` gives tensors with gradients.

        Raises:
            RlAbnError: If a shape or the dtype is wrong, there is no such intervention, or the
                agent has no maps to override.
        """
        batch = self._batch(obs)
        starts = torch.as_tensor(_starts(episode_start, len(batch)), device=self.policy.device)
        state = self._player.state if len(batch) == self._n else None
        if state is not None:
            state = forget(state, starts)
        images = torch.as_tensor(batch, device=self.policy.device)
        try:
            override = self._override(map_override, starts)
            with self.policy.compute.acting(self.policy.device, len(batch)):
                output, _ = self.policy.attend(images, state, override)
            return PolicyOutput._make(None if field is None else field.cpu() for field in output)
        except ValueError as error:
            raise RlAbnError(f"map_override: {error}") from None

    def make_env(
        self,
        n: int = 1,
        *,
        seed: int | None = None,
        protocol: str | None = None,
        life_loss_terminal: bool | None = None,
    ) -> AnyVecEnv:
        """Makes n parallel games as the agent was trained to see them, an SB3 `VecEnv`.

        Whole games: `info["episode"]` comes at the end of each.

        Args:
            n: Number of games.
            seed: Of the games; None is the agent's.
            protocol: The protocol's name; None is the one the agent was trained under. The agent
                keeps the actions it was trained with.
            life_loss_terminal: Whether a lost life sets `done` too, although the game goes on.
                None: it does for agents whose memory is emptied there (`network.forget_at`), so
                that `act(obs, episode_start=dones)` is right for every agent.

        Raises:
            RlAbnError: If there is no such protocol, or it shows what the agent does not see.
        """
        if n < 1:
            raise RlAbnError(f"expected 1 game or more, got {n}")
        recipe = self.recipe
        name = protocol or recipe.protocol_name
        if life_loss_terminal is None:
            life_loss_terminal = self.policy.settings.forget_at == "life"
        env = make_vec_env(
            recipe.env,
            protocol_of(recipe.env, name, training_protocol(recipe).full_action_space),
            n,
            seed=self.seed if seed is None else seed,
            life_loss_terminal=life_loss_terminal,
        )
        check_observations(self.policy.observation_space, env.observation_space, name)
        return env

    def evaluate(
        self,
        episodes: int = 30,
        *,
        seed: int | None = None,
        interventions: str | Sequence[str] = (),
        deterministic: bool = False,
        **options: Any,
    ) -> RunEvaluation:
        """Plays whole games with the checkpoint's weights, as `rl-abn eval` does.

        Args:
            episodes: Games, for the agent and for each intervention.
            seed: Of the games, the sampled actions and the bootstrap; None is the agent's.
            interventions: Names, such as "zero", "frozen:policy" or "all".
            deterministic: Whether it takes the most probable actions (`--greedy`).
            options: More of `evaluate_run`: protocol, with_random, max_steps, report.

        Raises:
            RlAbnError: If there is no such protocol or intervention.
        """
        if episodes < 1:
            raise RlAbnError(f"expected 1 episode or more, got {episodes}")
        labels = [interventions] if isinstance(interventions, str) else interventions
        return evaluate_run(
            self.run,
            n_games=episodes,
            greedy=deterministic,
            interventions=read_interventions(labels, self.recipe.agent_name, self.recipe.agent),
            step=self.step,
            seed=self.seed if seed is None else seed,
            device=str(self.policy.device),
            **options,
        )

    def watch(
        self,
        path: str | Path | None = None,
        *,
        seed: int | None = None,
        deterministic: bool = False,
        **options: Any,
    ) -> Video:
        """Records a game as a video, by the checkpoint's weights, as `rl-abn watch` does.

        Args:
            path: The video, .mp4; None is videos/ in the run folder.
            seed: Of the game and the sampled actions; None is the agent's.
            deterministic: Whether it takes the most probable actions (`--greedy`).
            options: More of `watch_game`: max_steps, scale, report.

        Raises:
            RlAbnError: If the video cannot be written.
        """
        return watch_game(
            self.run,
            out=None if path is None else Path(path),
            greedy=deterministic,
            step=self.step,
            seed=self.seed if seed is None else seed,
            device=str(self.policy.device),
            **options,
        )

    def record(
        self,
        path: str | Path | None = None,
        *,
        episodes: int = 1,
        seed: int | None = None,
        deterministic: bool = False,
        **options: Any,
    ) -> list[RecordedGame]:
        """Records games step by step, by the checkpoint's weights, as `rl-abn record` does.

        Args:
            path: Where the episode folders go; None is episodes/ in the run folder.
            episodes: How many games.
            seed: Of the first game and its sampled actions; the next games have the next ones.
                None is the agent's.
            deterministic: Whether it takes the most probable actions (`--greedy`).
            options: More of `record_run`: max_steps, on_exists, map_name, keep, report.

        Returns:
            Each game's folder, score and steps; `rl_abn.record.Episode(game.path)` reads it.

        Raises:
            RlAbnError: If an episode is there already, or cannot be written.
        """
        if episodes < 1:
            raise RlAbnError(f"expected 1 episode or more, got {episodes}")
        return list(
            record_run(
                self.run,
                episodes=episodes,
                out=None if path is None else Path(path),
                greedy=deterministic,
                step=self.step,
                seed=self.seed if seed is None else seed,
                device=str(self.policy.device),
                **options,
            )
        )

    def __repr__(self) -> str:
        recipe, maps = self.recipe, ", ".join(self.map_names) or "none"
        return (
            f"Agent({recipe.agent_name} on {recipe.env_name}, step {self.step:,}, maps: {maps}, "
            f"{len(self.action_names)} actions, {self.policy.device})"
        )

    def _batch(self, obs: np.ndarray) -> np.ndarray:
        batch, space = np.asarray(obs), self.policy.observation_space
        shape = space.shape
        assert shape is not None
        fits = batch.shape == shape or (batch.shape[1:] == shape and len(batch))
        # Pixels that were divided by 255 already would be once more, and nobody would see it.
        if not fits or batch.dtype != space.dtype:
            several = ", ".join(["n", *map(str, shape)])
            raise RlAbnError(
                f"expected observations {described(space)} or [{several}], "
                f"got {batch.dtype} {list(batch.shape)}"
            )
        return batch[None] if batch.shape == shape else batch

    def _override(self, override: Override | None, starts: Tensor) -> MapOverride | None:
        if override is None:
            return None
        if isinstance(override, str):
            rule = self._intervention(override, len(starts))
            return lambda maps: rule(maps, starts)
        if not self.map_names:
            # An array would broadcast to no maps, and change nothing.
            raise RlAbnError(
                "expected an agent with attention maps for map_override, "
                f"got '{self.recipe.agent_name}', which has none"
            )
        return as_override(override)

    def _intervention(self, label: str, n: int) -> Intervention:
        """Returns the intervention of a name for n games, the same one until `reset`."""
        if (label, n) not in self._interventions:
            specs = read_interventions([label], self.recipe.agent_name, self.recipe.agent)
            if len(specs) != 1:
                raise RlAbnError(f"expected one intervention, got '{label}', which is {len(specs)}")
            self._interventions[label, n] = specs[0].make(self.policy, self.seed)
        return self._interventions[label, n]


def _starts(episode_start: np.ndarray | bool | None, n: int) -> np.ndarray:
    starts = np.atleast_1d(np.asarray(False if episode_start is None else episode_start, bool))
    if starts.shape not in ((1,), (n,)):
        raise RlAbnError(f"expected episode_start [{n}], got {list(starts.shape)}")
    return np.broadcast_to(starts, (n,)).copy()
