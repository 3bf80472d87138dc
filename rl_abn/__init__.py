"""rl-abn: Atari agents that show where they look."""

__version__ = "0.1.0"
