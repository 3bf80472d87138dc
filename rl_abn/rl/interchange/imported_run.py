"""The last step of every import: a run folder made of weights trained elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from rl_abn.recipes import RunRecipe
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.auto_settings import settle_imported
from rl_abn.runs import OnExists, Run, check_weights, default_folder, free_folder
from rl_abn.runs.holding import hold, let_go, let_go_on_failure


class ImportedAgent(NamedTuple):
    """An agent that was read from a file.

    Attributes:
        recipe: A run's recipe that describes it.
        policy: A policy of that recipe, untrained.
        weights: By the policy's parameter names.
        steps: Agent steps trained, 0 if unknown.
    """

    recipe: RunRecipe
    policy: AttentionPolicy
    weights: Mapping[str, Tensor]
    steps: int

    def load(self, path: Path) -> AttentionPolicy:
        """Loads the weights into the policy; `path` is the file they come from.

        Raises:
            RlAbnError: If they do not fit it.
        """
        check_weights(path, self.weights, self.policy.state_dict())
        self.policy.load_state_dict(self.weights)
        return self.policy


def make_imported_run(
    path: Path,
    kind: str,
    agent: ImportedAgent,
    *,
    folder: Path | None,
    on_exists: OnExists | None,
) -> Run:
    """Makes a run with one checkpoint, for evaluation and videos; it cannot be trained on.

    Args:
        path: The file the weights come from.
        kind: The kind of file, as on the command line.
        agent: What was read from it; the weights are loaded into its policy.
        folder: The run folder; None is runs/ENV/AGENT/KIND-FILE.
        on_exists: "new" or "overwrite", where a run exists already.

    Raises:
        RlAbnError: If the weights do not fit the policy or the folder is taken; nothing is written
            then.
    """
    policy = agent.load(path)
    recipe, steps = agent.recipe, agent.steps
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "file"
    folder = folder or default_folder(recipe).with_name(f"{kind}-{name}")
    folder = free_folder(folder, on_exists, "new or overwrite")
    imported = {"kind": kind, "file": path.name, "steps": steps}
    with let_go_on_failure(folder):
        settled = settle_imported(recipe)
        run = Run.create(folder, settled, "cpu", status="imported", imported=imported)
        hold(folder)
        run.save_checkpoint(steps, policy.state_dict(), {}, {"num_timesteps": steps})
    let_go(folder)
    return run
