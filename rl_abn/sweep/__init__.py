"""Sweeps: games x agents x settings x seeds, trained on one machine, a Ray cluster or SLURM."""

from __future__ import annotations

from collections.abc import Mapping

ENGINES: Mapping[str, str | None] = {"local": None, "ray": "ray", "slurm": "submitit"}
"""The engines by name, and the package that each needs beside ours."""
