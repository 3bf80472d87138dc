"""Gymnasium's CarRacing-v3 as a place to drive."""
