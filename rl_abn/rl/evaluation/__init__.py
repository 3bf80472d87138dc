"""Evaluation: players, whole games, scores and videos."""
