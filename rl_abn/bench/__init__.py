"""The benchmark: emulators, stable-baselines3 and ours side by side in one run.

Every measurement is a process of its own (`worker`), taken in turn with the others (`rounds`);
what is compared is the median of neighbouring measurements' ratios (`statistics`).
"""
