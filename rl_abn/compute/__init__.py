"""How networks run: precision, threads, CUDA graphs and packed CPU weights."""

from rl_abn.compute.compute import Compute, Pause, Precision

__all__ = ["Compute", "Pause", "Precision"]
