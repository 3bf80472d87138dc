"""Where the units of a sweep are worked on: one machine, a Ray cluster, SLURM."""

from rl_abn.sweep.engines.engine import ENGINES, Engine, make_engine

__all__ = ["ENGINES", "Engine", "make_engine"]
