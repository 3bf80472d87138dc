"""Moments of an agent's own games, with all that it takes to ask the agent about them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_abn.explain.objects import find_objects
from rl_abn.recipes import AnyEnvRecipe
from rl_abn.rl.envs.make import AnyProtocol, AnySingleEnv, make_single_env
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.seeds import Stream, derive_seeds

LEAST_GAP = 4
"""Steps between two moments of a game, at least."""


class ExplainedStates(NamedTuple):
    """N moments.

    Attributes:
        observations: As the agent sees them, [N, C, H, W].
        previous: One step before, [N, C, H, W].
        memory: The agent's before the moment, [N, ...] each; none without memory.
        screens: Colour screens, uint8 [N, height, width, 3].
        labels: Which object is where, in the pixels of the observation, newest step last, uint8
            [N, S, H, W]: 0 is none, i + 1 the object of that number.
        objects: Names of the objects.
        games: Which game each is of, int64 [N].
        steps: Which step, int64 [N].
    """

    observations: np.ndarray
    previous: np.ndarray
    memory: tuple[np.ndarray, ...]
    screens: np.ndarray
    labels: np.ndarray
    objects: tuple[str, ...]
    games: np.ndarray
    steps: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by name."""
        found = {f"memory_{i}": part for i, part in enumerate(self.memory)}
        fields = self._asdict()
        return found | {
            name: value for name, value in fields.items() if name not in ("memory", "objects")
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], objects: tuple[str, ...]) -> ExplainedStates:
        """Returns the moments of which `arrays` are."""
        names = sorted((n for n in arrays if n.startswith("memory_")), key=lambda n: int(n[7:]))
        rest = {name: value for name, value in arrays.items() if name not in names}
        return cls(memory=tuple(arrays[name] for name in names), objects=objects, **rest)

    def mask(self, name: str, step: int = -1) -> np.ndarray:
        """Returns where an object is, bool [N, H, W]; of the newest step or one before it."""
        mask: np.ndarray = self.labels[:, step] == self.objects.index(name) + 1
        return mask


class _Moment(NamedTuple):
    observation: np.ndarray
    previous: np.ndarray
    memory: tuple[np.ndarray, ...]
    screen: np.ndarray
    labels: np.ndarray
    game: int
    step: int


class _View(NamedTuple):
    """What an observation shows: its size, the rows of the screen in it, and steps in its stack."""

    size: tuple[int, int]
    rows: tuple[int, int] | None
    stack: int


class _Game:
    """One game that is played step by step, and what its last steps showed."""

    def __init__(
        self, env: AnySingleEnv, objects: dict[str, dict[str, object]], view: _View, seed: int
    ) -> None:
        self.env, self.objects, self.view = env, objects, view
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Starts the game of a seed."""
        self.observation = self.env.reset(seed)
        self.previous = self.observation
        self.step, self.lost_life, self.over = 0, False, False
        self.frames = [self.env.frame.copy()]
        self.shown = [self._labels()] * self.view.stack

    def act(self, action: int) -> None:
        """Takes an action."""
        env, lives = self.env, self.env.lives
        self.previous = self.observation
        frames: list[np.ndarray] = []
        if isinstance(env, SingleEnv):
            outcome = env.step(action, lambda frame: frames.append(frame.copy()))
            # An observation is the maximum of a step's last two frames.
            self.frames = [*self.frames, *frames][-2:]
        else:
            outcome = env.step(action)
            self.frames = [env.frame.copy()]
        self.observation = outcome.observation
        self.lost_life = env.lives < lives
        self.over = outcome.terminated or outcome.truncated
        self.step += 1
        self.shown = [*self.shown, self._labels()][-self.view.stack :]

    def _labels(self) -> np.ndarray:
        height, width = self.view.size
        labels = np.zeros((height, width), np.uint8)
        if not self.objects:
            return labels
        rows = slice(None) if self.view.rows is None else slice(*self.view.rows)
        found = [find_objects(frame, self.objects) for frame in self.frames]
        for number, name in enumerate(self.objects, 1):
            mask = np.any([each[name] for each in found], axis=0)[rows]
            if mask.any():
                small = cv2.resize(
                    mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
                )
                labels[small > 0.05] = number
        return labels


def collect_states(
    policy: AttentionPolicy,
    recipe: AnyEnvRecipe,
    protocol: AnyProtocol,
    n_states: int,
    *,
    n_games: int = 8,
    max_steps: int = 2000,
    seed: int = 0,
    tick: Callable[[int, int], None] | None = None,
) -> ExplainedStates:
    """Lets an agent play games side by side and keeps moments spread over them.

    Args:
        policy: The agent's.
        recipe: Which game.
        protocol: How it is played.
        n_states: N.
        n_games: Games side by side; where one ends the next begins.
        max_steps: Steps of each of these series.
        seed: Of the games and actions.
        tick: Told how many steps of how many are played.
    """
    n_games = min(n_games, n_states)
    objects = {
        name: found.model_dump(mode="json")
        for name, found in getattr(recipe, "objects", {}).items()
    }
    shape = policy.observation_space.shape
    assert shape is not None
    view = _View(
        (shape[1], shape[2]), protocol.seen_rows, max(1, getattr(protocol, "frame_stack", 1))
    )
    player = AgentPlayer("agent", policy, greedy=False, seed=seed)

    def seed_of(number: int) -> int:
        return int(derive_seeds(seed, Stream.EXPLANATION, number, count=1)[0])

    games = [
        _Game(make_single_env(recipe, protocol), objects, view, seed_of(i)) for i in range(n_games)
    ]
    begun = np.ones(n_games, bool)
    number, played = list(range(n_games)), n_games
    kept: list[_Moment] = []
    gap = LEAST_GAP
    for t in range(max_steps):
        observations = np.stack([game.observation for game in games])
        lost = np.array([game.lost_life for game in games])
        # The memory a player starts a step with is emptied inside `act`.
        before = player.memory_before(begun, lost)
        actions, _ = player.act(observations, begun, lost)
        if t % gap == gap - 1:
            for i, game in enumerate(games):
                part = tuple(memory[i].cpu().numpy() for memory in before)
                kept.append(
                    _Moment(
                        game.observation,
                        game.previous,
                        part,
                        game.frames[-1],
                        np.stack(game.shown),
                        number[i],
                        game.step,
                    )
                )
            if len(kept) >= 2 * n_states and t + gap < max_steps:
                gap *= 2
                kept = [m for j, m in enumerate(kept) if (j // n_games) % 2]
        for i, game in enumerate(games):
            game.act(int(actions[i]))
            begun[i] = game.over
            if game.over:
                game.reset(seed_of(played))
                number[i], played = played, played + 1
        if tick is not None:
            tick(t + 1, max_steps)
    chosen = np.linspace(0, len(kept) - 1, min(n_states, len(kept))).round().astype(int)
    # In random order, so that any of the first are spread over the games.
    moments = [kept[i] for i in np.random.default_rng(seed).permutation(chosen)]
    fields = zip(*moments, strict=True)
    observation, previous, memory, screen, labels, game_numbers, steps = map(list, fields)
    return ExplainedStates(
        np.stack(observation),
        np.stack(previous),
        tuple(np.stack(parts) for parts in zip(*memory, strict=True)),
        np.stack(screen),
        np.stack(labels),
        tuple(objects),
        np.array(game_numbers),
        np.array(steps),
    )


def memory_of(states: ExplainedStates, device: torch.device) -> tuple[Tensor, ...] | None:
    """Returns the memory before each moment on a device; None for an agent without."""
    parts = tuple(torch.as_tensor(part, device=device) for part in states.memory)
    return parts or None
