"""PPO and A2C: collecting rollouts, losses and updates."""
