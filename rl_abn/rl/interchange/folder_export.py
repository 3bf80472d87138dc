"""Export of a run as a folder to hand on: weights, recipe, curves, evaluations and a card."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import cv2
import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.explain.stored import certificate_of_checkpoint
from rl_abn.explain.written import CERTIFICATE
from rl_abn.files.text import write_output
from rl_abn.rl.evaluation.card import PICTURE, card_of, evaluations_of
from rl_abn.rl.training.build import make_policy
from rl_abn.runs import (
    EXPORTED,
    META,
    METRICS,
    Checkpoint,
    CheckpointChoice,
    OnExists,
    Run,
    free_folder,
    read_json,
)
from rl_abn.runs.holding import hold, let_go, let_go_on_failure
from rl_abn.runs.shipped import CARD


def export_folder(
    run: Run,
    folder: Path,
    step: CheckpointChoice = None,
    *,
    on_exists: OnExists | None = None,
    notes: str = "",
) -> Checkpoint:
    """Writes one checkpoint as a run folder that every command takes and no training goes on from.

    Weights are stored in 16 bits (where that is finite) and the optimizer is left out, so that it
    is a sixth of the size. Evaluations of this checkpoint and its explanation's certificate come
    along and are told by the card, which shows a moment of the run's video of it, if there is one.

    Args:
        run: The run.
        folder: Where it goes.
        step: The checkpoint's step, or "best"; None is the newest.
        on_exists: "new" or "overwrite", where a run is in the folder already.
        notes: What else the card says, such as known weaknesses.

    Returns:
        The exported checkpoint.

    Raises:
        RlAbnError: If the checkpoint is damaged, the folder is taken or cannot be written.
    """
    found = run.checkpoint(step)
    weights = run.weights(found, make_policy(run.recipe, ortho_init=False).state_dict())
    meta = read_json(run.path / META)
    imported = {"kind": EXPORTED, "file": run.path.name, "steps": found.step}
    meta |= {"status": "imported", "imported": meta.get("imported", imported)}
    folder = free_folder(folder, on_exists, "new or overwrite")
    with let_go_on_failure(folder):
        lean = Run.create(folder, run.recipe, "cpu")
        lean.update_meta(**meta)
        hold(folder)
        saved = lean.save_checkpoint(found.step, halved(weights), {}, {"num_timesteps": found.step})
        try:
            if (run.path / METRICS).is_file():
                shutil.copyfile(run.path / METRICS, folder / METRICS)
            for path in evaluations_of(run, found.step):
                (folder / path.parent.name).mkdir(exist_ok=True)
                shutil.copyfile(path, folder / path.parent.name / path.name)
            certificate = certificate_of_checkpoint(run.path, found.step)
            if certificate is not None:
                shutil.copyfile(certificate.path, folder / CERTIFICATE)
        except OSError as error:
            raise RlAbnError(f"{folder}: cannot be written: {error.strerror}") from None
        if (moment := _moment(run, found.step)) is not None:
            write_output(folder / PICTURE, moment)
        write_output(folder / CARD, card_of(lean, saved.step, notes).encode())
    let_go(folder)
    return saved


def _moment(run: Run, step: int) -> bytes | None:
    """Returns the middle frame of a checkpoint's video as a PNG; None where there is no picture.

    A video of a whole game with sampled actions comes first, then one that is greedy, cut, or drawn
    on another scale; those of replaced maps are left out. What was exported before has the picture
    of its one checkpoint.
    """
    own = re.compile(rf"step-{step}-game-[0-9]+(-greedy)?(-cut-at-[0-9]+)?(-frame-scale)?\.mp4")
    videos = [path for path in (run.path / "videos").glob("*.mp4") if own.fullmatch(path.name)]
    for path in sorted(videos, key=lambda path: (path.name.count("-"), path.name)):
        video = cv2.VideoCapture(str(path))
        video.set(cv2.CAP_PROP_POS_FRAMES, video.get(cv2.CAP_PROP_FRAME_COUNT) // 2)
        found, frame = video.read()
        video.release()
        if found:
            return bytes(cv2.imencode(".png", frame)[1])
    picture = run.path / PICTURE
    return picture.read_bytes() if picture.is_file() else None


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights with float32 tensors in float16, but for those that would not be finite."""
    halves = {
        name: tensor.half() if tensor.dtype == torch.float32 else tensor
        for name, tensor in weights.items()
    }
    return {name: t if bool(t.isfinite().all()) else weights[name] for name, t in halves.items()}
