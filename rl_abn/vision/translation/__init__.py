"""Translates pictures between two domains by CycleGAN, with attention that stays where it is."""
