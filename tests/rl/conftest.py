"""A tiny network and tiny games: each game tests one thing and has a numeric answer."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from rl_abn.networks import NETWORKS, trace_shape
from rl_abn.recipes import LinearSchedule, load_env, schedule
from rl_abn.rl import AleVecEnv, AttentionA2C, AttentionPolicy, AttentionPPO

SIZE = 12


class TinyNetwork:
    """One convolution, 6x6 maps for 12x12 observations, one fully connected layer."""

    attention_at = (6,)
    features_dim = 32

    def __init__(self, in_shape, attention_at=6):
        self.in_shape = in_shape

    def extractor(self):
        return nn.Sequential(nn.Conv2d(self.in_shape[0], 16, 2, stride=2), nn.ReLU())

    def branch_body(self, channels):
        return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU())

    def before_gate(self, channels):
        return nn.Identity()

    def perception(self):
        channels, height, width = trace_shape(self.extractor(), self.in_shape)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(channels * height * width, self.features_dim), nn.ReLU()
        )


class ProbeGame(gymnasium.Env):
    """A game of a few steps on SIZE x SIZE pixels with two actions."""

    observation_space = spaces.Box(0, 255, (1, SIZE, SIZE), np.uint8)
    action_space = spaces.Discrete(2)
    length = 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.picture(), {}

    def step(self, action):
        reward = self.reward(int(action))
        self.t += 1
        return self.picture(), reward, self.t >= self.length, False, {}

    def picture(self):
        return np.full((1, SIZE, SIZE), 100, np.uint8)

    def reward(self, action):
        return 1.0


class ConstantReward(ProbeGame):
    """Always 1: the value is 1."""


class DelayedReward(ProbeGame):
    """1 after the second of two steps: with gamma 0.5 the first screen is worth 0.5."""

    length = 2

    def picture(self):
        return np.full((1, SIZE, SIZE), 50 + 150 * min(self.t, 1), np.uint8)

    def reward(self, action):
        return float(self.t == 1)


STRIPES = np.stack([np.indices((SIZE, SIZE))[i][None] % 2 * 255 for i in range(2)]).astype(np.uint8)


class Signal(ProbeGame):
    """The direction of stripes says which action is right."""

    def picture(self):
        self.right = int(self.np_random.integers(2))
        return STRIPES[self.right]

    def reward(self, action):
        return 1.0 if action == self.right else -1.0


class PatchSignal(ProbeGame):
    """One place of 36 counts: a marker (first channel) shows which; its shade says what is right.

    Every other place has a random shade (second channel) that says nothing.
    """

    observation_space = spaces.Box(0, 255, (2, SIZE, SIZE), np.uint8)

    def picture(self):
        self.right = int(self.np_random.integers(2))
        places = np.zeros((2, SIZE // 2, SIZE // 2), np.uint8)
        places[1] = 255 * self.np_random.integers(2, size=places[1].shape)
        self.location = tuple(self.np_random.integers(SIZE // 2, size=2))
        places[(0, *self.location)] = 255
        places[(1, *self.location)] = 255 * self.right
        return places.repeat(2, axis=1).repeat(2, axis=2)

    def reward(self, action):
        return 1.0 if action == self.right else -1.0


class BesideSignal(PatchSignal):
    """As before, but what is right is the shade of the place to the right of the marker."""

    def picture(self):
        self.right = int(self.np_random.integers(2))
        places = np.zeros((2, SIZE // 2, SIZE // 2), np.uint8)
        places[1] = 255 * self.np_random.integers(2, size=places[1].shape)
        row, column = self.np_random.integers((SIZE // 2, SIZE // 2 - 1))
        places[0, row, column] = 255
        places[1, row, column + 1] = 255 * self.right
        return places.repeat(2, axis=1).repeat(2, axis=2)


class ColourSignal(ProbeGame):
    """One place of 36 counts, marked in the first channel; its colour is the right of four actions.

    Every other place has a random colour that says nothing. One time in five no place is marked,
    and a fifth action is right: an agent cannot look for some colours and take the last for granted
    where it sees none of them.
    """

    observation_space = spaces.Box(0, 255, (5, SIZE, SIZE), np.uint8)
    action_space = spaces.Discrete(5)

    def picture(self):
        colours = self.np_random.integers(4, size=(SIZE // 2, SIZE // 2))
        places = np.zeros((5, *colours.shape), np.uint8)
        places[1:][colours == np.arange(4)[:, None, None]] = 255
        self.location = tuple(self.np_random.integers(SIZE // 2, size=2))
        self.marked = bool(self.np_random.random() < 0.8)
        self.right = int(colours[self.location]) if self.marked else 4
        places[(0, *self.location)] = 255 * self.marked
        return places.repeat(2, axis=1).repeat(2, axis=2)

    def reward(self, action):
        return 1.0 if action == self.right else -0.25


def make_probe(game, n_envs=8):
    env = DummyVecEnv([game] * n_envs)
    env.seed(0)
    return env


def make_algorithm(name, env, seed=0, policy_kwargs=None, **kwargs):
    """PPO or A2C with settings that learn a probe game in a few thousand steps."""
    policy_kwargs = {"extractor": "tiny", **(policy_kwargs or {})}
    common = {"policy_kwargs": policy_kwargs, "seed": seed, "ent_coef": 0.01, **kwargs}
    start = 2e-3 if name == "ppo" else 4e-3
    common.setdefault("learning_rate", schedule(LinearSchedule(start=start)))
    if name == "ppo":
        settings = {"n_steps": 32, "batch_size": 64, "n_epochs": 4}
        return AttentionPPO(AttentionPolicy, env, **{**settings, **common})
    settings = {"n_steps": 8}
    return AttentionA2C(AttentionPolicy, env, **{**settings, **common})


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(NETWORKS, "tiny", TinyNetwork)


@pytest.fixture(scope="session")
def space_invaders():
    return load_env("space_invaders")


@pytest.fixture
def ale_env(space_invaders):
    return AleVecEnv(space_invaders.game, space_invaders.protocol["legacy"], 2, seed=0)
