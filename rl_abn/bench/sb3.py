"""stable-baselines3 as its users run it: rl-zoo's settings for Atari and SB3's wrappers."""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

from rl_abn.bench.spec import Spec
from rl_abn.compute.device import device_of
from rl_abn.recipes import Game, LinearSchedule, load_game, schedule

gymnasium.register_envs(ale_py)

N_ENVS = {"ppo": 8, "a2c": 16}


def make_sb3_env(game: Game, n_envs: int, seed: int) -> VecEnv:
    """Makes SB3's Atari environment: one process, OpenCV wrappers, four stacked frames."""
    name = game.id.removeprefix("ALE/").removesuffix("-v5")
    env = make_atari_env(f"{name}NoFrameskip-v4", n_envs=n_envs, seed=seed)
    return VecFrameStack(env, n_stack=4)


def make_sb3_model(spec: Spec) -> OnPolicyAlgorithm:
    """Makes SB3's PPO or A2C with the settings of rl-zoo (hyperparams/ppo.yml and a2c.yml, atari).

    Raises:
        RlAbnError: If there is no such device or game.
    """
    env = make_sb3_env(load_game(spec.env).game, spec.n_envs or N_ENVS[spec.agent], spec.seed)
    common: dict[str, Any] = {
        "policy": "CnnPolicy",
        "env": env,
        "seed": spec.seed,
        "device": device_of(spec.device),
        "ent_coef": 0.01,
    }
    if spec.agent == "a2c":
        optimizer = {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5}}
        return A2C(vf_coef=0.25, policy_kwargs=optimizer, **common)
    return PPO(
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        learning_rate=schedule(LinearSchedule(start=2.5e-4)),
        clip_range=schedule(LinearSchedule(start=0.1)),
        vf_coef=0.5,
        **common,
    )
