"""Atari environments: vectorised, split into parts, and a single one with a colour frame."""
