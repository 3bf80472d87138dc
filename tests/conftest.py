"""Shapes written in the core's signatures are checked in every test that goes through it."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)  # tests run side by side; more threads would only wait for each other
install_import_hook(("rl_abn.attention", "rl_abn.compute"), "beartype.beartype")
