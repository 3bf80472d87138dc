"""Malformed command lines, recipes, run folders and files, made from a grammar with a seed."""
