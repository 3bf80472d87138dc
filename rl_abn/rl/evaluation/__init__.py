"""Whole games: who plays, how they are scored, and how they are filmed."""
