"""Attention maps a person edited: their format, their files and the loss that uses them."""
