"""Import and export of agents: stable-baselines3 zips and Mask-A3C weight files."""
