"""The benchmark: emulators, stable-baselines3 and our agents, measured side by side.

Each measurement runs in its own process (`worker`); the rows take turns (`rounds`). Rows are
compared by the median of the ratios within each round (`statistics`).
"""
