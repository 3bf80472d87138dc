"""A trained agent for notebooks: it acts, shows its attention maps and plays whole games."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_abn.attention import Intervention, MapOverride
from rl_abn.compute.device import device_of
from rl_abn.errors import RlAbnError
from rl_abn.networks import forget
from rl_abn.recipes import RunRecipe
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.evaluation.evaluate import RunEvaluation, evaluate_run
from rl_abn.rl.evaluation.interventions import read_interventions
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import Run

Override = str | np.ndarray | Tensor | Callable[[Tensor], Tensor]
"""Maps to act on instead, a function of the agent's own, or the name of an intervention."""


class Agent:
    """A run's agent at one of its checkpoints; `rl_abn.load` makes it.

    Args:
        run: The run.
        step: The checkpoint's step; None is the newest.
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
        self, run: Run, *, step: int | None = None, device: str = "auto", seed: int = 0
    ) -> None:
        checkpoint = run.checkpoint(step)
        self.run = run
        self.policy: AttentionPolicy = load_policy(run, checkpoint, device_of(device))
        self.step = checkpoint.step
        self.seed = seed
        self.action_names = tuple(self.make_env().action_names)
        self.reset()

    @property
    def recipe(self) -> RunRecipe:
        """The resolved recipe of the run."""
        return self.run.recipe

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of `PolicyOutput.map`'s second dimension."""
        return self.policy.map_names

    def reset(self) -> None:
        """Empties the memory, and starts sampled actions and interventions anew from the seed."""
        name = self.recipe.agent_name
        self._player = AgentPlayer(name, self.policy, greedy=False, seed=self.seed)
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
            RlAbnError: If a shape is wrong.
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

        Args:
            obs: Observations, [n, C, H, W], or of one game, [C, H, W], which is n = 1.
            map_override: Maps to act on, broadcastable to [n, m, h, w], a function of the agent's
                own, or an intervention such as "zero" or "inverted:policy".
            episode_start: As in `act`; "frozen" holds the map of a game's start.

        Raises:
            RlAbnError: If a shape is wrong, or there is no such intervention.
        """
        batch = self._batch(obs)
        starts = torch.as_tensor(_starts(episode_start, len(batch)), device=self.policy.device)
        state = self._player.state if len(batch) == self._n else None
        if state is not None:
            state = forget(state, starts)
        override = self._override(map_override, starts)
        images = torch.as_tensor(batch, device=self.policy.device)
        try:
            with torch.no_grad():
                return self.policy.attend(images, state, override)[0]
        except ValueError as error:
            raise RlAbnError(f"map_override: {error}") from None

    def make_env(
        self, n: int = 1, *, seed: int | None = None, life_loss_terminal: bool = False
    ) -> AleVecEnv:
        """Makes n parallel games as the agent was trained to see them, an SB3 `VecEnv`.

        Args:
            n: Number of games.
            seed: Of the games; None is the agent's.
            life_loss_terminal: Whether a lost life sets `done` too, although the game goes on; for
                agents whose memory is emptied at a lost life (`network.forget_at`).
        """
        if n < 1:
            raise RlAbnError(f"expected 1 game or more, got {n}")
        return AleVecEnv(
            self.recipe.env.game,
            training_protocol(self.recipe),
            n,
            seed=self.seed if seed is None else seed,
            life_loss_terminal=life_loss_terminal,
        )

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

    def __repr__(self) -> str:
        recipe, maps = self.recipe, ", ".join(self.map_names) or "none"
        return (
            f"Agent({recipe.agent_name} on {recipe.env_name}, step {self.step:,}, maps: {maps}, "
            f"{len(self.action_names)} actions, {self.policy.device})"
        )

    def _batch(self, obs: np.ndarray) -> np.ndarray:
        batch = np.asarray(obs)
        shape = self.policy.observation_space.shape
        assert shape is not None
        if batch.shape == shape:
            return batch[None]
        if batch.shape[1:] != shape or not len(batch):
            one = ", ".join(map(str, shape))
            raise RlAbnError(
                f"expected observations [n, {one}] or [{one}], got {list(batch.shape)}"
            )
        return batch

    def _override(self, override: Override | None, starts: Tensor) -> MapOverride | None:
        if override is None or isinstance(override, Tensor):
            return override
        if isinstance(override, str):
            rule = self._intervention(override, len(starts))
            return lambda maps: rule(maps, starts)
        return override if callable(override) else torch.as_tensor(np.asarray(override))

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
