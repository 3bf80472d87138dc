"""Attention maps edited by a person: in memory and as files."""
