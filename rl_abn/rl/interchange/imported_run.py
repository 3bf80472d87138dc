"""What every import ends with: a run of weights that were trained elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from rl_abn.recipes import RunRecipe
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.auto_settings import settle_imported
from rl_abn.runs import OnExists, Run, check_weights, default_folder, free_folder


def make_imported_run(
    path: Path,
    kind: str,
    recipe: RunRecipe,
    policy: AttentionPolicy,
    weights: Mapping[str, Tensor],
    *,
    steps: int,
    folder: Path | None,
    on_exists: OnExists | None,
) -> Run:
    """Makes a run with one checkpoint, to evaluate and to watch but not to train on.

    Args:
        path: The file the weights come from.
        kind: What kind of file it is, a word of the command line.
        recipe: What the run is made of.
        policy: Its policy, which gets the weights.
        weights: Under the policy's names.
        steps: Agent steps trained, 0 where nobody knows.
        folder: The run folder; None is runs/ENV/AGENT/KIND-FILE.
        on_exists: "new" or "overwrite", where a run is already.

    Raises:
        RlAbnError: If the weights are not the policy's or the folder is taken; nothing is written
            then.
    """
    check_weights(path, weights, policy.state_dict())
    policy.load_state_dict(weights)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "file"
    folder = folder or default_folder(recipe).with_name(f"{kind}-{name}")
    folder = free_folder(folder, on_exists, "new or overwrite")
    imported = {"kind": kind, "file": path.name, "steps": steps}
    run = Run.create(folder, settle_imported(recipe), "cpu", status="imported", imported=imported)
    run.save_checkpoint(steps, policy.state_dict(), {}, {"num_timesteps": steps})
    return run
