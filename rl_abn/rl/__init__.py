"""Reinforcement learning: environments, policies, algorithms, training and evaluation."""

from rl_abn.rl.algorithms.a2c import AttentionA2C
from rl_abn.rl.algorithms.ppo import AttentionPPO
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.policies.outputs import PolicyOutput

__all__ = ["AleVecEnv", "AttentionA2C", "AttentionPPO", "AttentionPolicy", "PolicyOutput"]
