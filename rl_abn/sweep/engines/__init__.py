"""Where the units of a sweep are worked on: one machine, a Ray cluster, SLURM."""

from rl_abn.sweep.engines.engine import Engine, make_engine

__all__ = ["Engine", "make_engine"]
