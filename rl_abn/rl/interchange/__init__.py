"""Agents from elsewhere and for elsewhere: stable-baselines3 zips and Mask-A3C weights."""
