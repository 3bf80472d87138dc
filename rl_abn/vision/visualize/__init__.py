"""Sheets and videos of what a network sees."""
