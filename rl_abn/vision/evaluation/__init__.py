"""Scores of trained networks on data they did not learn from."""
