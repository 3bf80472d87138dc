"""Tests of explanations: is a map used, does it mark what matters, is it better than simple ones.

Knows neither track: arrays, maps and a function in, numbers with intervals out.
"""
