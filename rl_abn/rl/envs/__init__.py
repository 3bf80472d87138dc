"""Atari games as vectorized environments, as one environment, and in parts."""
