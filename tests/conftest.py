"""Shapes written in the core's signatures are checked in every test that goes through it."""

from jaxtyping import install_import_hook

install_import_hook("rl_abn.attention", "beartype.beartype")
