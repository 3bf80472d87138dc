"""Reinforcement learning: environments, policies, algorithms, training and evaluation."""

from rl_abn.rl.a2c import AttentionA2C
from rl_abn.rl.policy import AttentionPolicy, PolicyAttention
from rl_abn.rl.ppo import AttentionPPO
from rl_abn.rl.vec_env import AleVecEnv

__all__ = ["AleVecEnv", "AttentionA2C", "AttentionPPO", "AttentionPolicy", "PolicyAttention"]
