"""Export of a run as a stable-baselines3 zip."""

from __future__ import annotations

import io
from pathlib import Path

from rl_abn.errors import RlAbnError
from rl_abn.files.text import write_atomically
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.build import make_model, make_training_env
from rl_abn.runs import Checkpoint, CheckpointChoice, Run, read_weights


def export_sb3(run: Run, path: Path, step: CheckpointChoice = None) -> Checkpoint:
    """Writes a checkpoint as a zip that `AttentionPPO.load` or `AttentionA2C.load` reads.

    SB3's own `PPO.load` and `A2C.load` read it too. The optimizer is included if the run has one,
    so that training can continue in SB3.

    Args:
        run: The run.
        path: The zip; an existing file is replaced.
        step: The checkpoint's step, or "best"; None is the newest.

    Returns:
        The exported checkpoint.

    Raises:
        RlAbnError: If the name does not end with .zip (SB3 would append it), the checkpoint is
            damaged, or the file cannot be written.
    """
    if path.suffix != ".zip":
        raise RlAbnError(f"expected a file name that ends with .zip, got '{path}'; '{path}.zip'?")
    found = run.checkpoint(step)
    model = make_model(run.recipe, make_training_env(run.recipe), "cpu")
    if run.is_imported:
        model.policy.load_state_dict(read_weights(found, model.policy.state_dict()))
        model.num_timesteps = found.step
    else:
        checkpoint.restore(model, found)
    content = io.BytesIO()
    # SB3's own algorithms must make their own buffer class: they cannot fill ours.
    model.save(content, exclude=["rollout_buffer_class"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise RlAbnError(f"{path}: cannot be written: {error.strerror}") from None
    return found
