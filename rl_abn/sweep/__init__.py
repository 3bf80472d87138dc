"""Sweeps: games x agents x settings x seeds, trained on one machine, a Ray cluster or SLURM."""
