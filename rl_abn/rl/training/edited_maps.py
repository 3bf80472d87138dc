"""Edited maps as an auxiliary loss: an agent's maps are pulled towards them while it learns."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.text import read_json
from rl_abn.rl.algorithms.losses import EditedMaps
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.probes import Probes
from rl_abn.runs import META, Run, load_tensors, save_tensors

if TYPE_CHECKING:
    from rl_abn.map_editing.edits import Edits  # brings SciPy along, which few trainings need

EDITS = "edits.safetensors"


def edited_maps(
    run: Run,
    policy: AttentionPolicy,
    probes: Probes | None,
    edits: Edits | None = None,
    coef: float = 1.0,
) -> EditedMaps | None:
    """Applies edits to a run's probe maps and stores the result; without edits, loads it.

    What is stored holds for the rest of the training, so that a resumed run learns the same maps.
    The same edits given again change nothing, though the agent's own maps have changed.

    Args:
        run: The run.
        policy: The agent as it is now, whose maps are edited.
        probes: Its kept positions, which go by the names probe-0, probe-1, …
        edits: New ones, of these positions or of observations that they bring along; None finds
            what is kept.
        coef: Weight of new ones.

    Raises:
        RlAbnError: If there are no maps to edit, a name is unknown, an edit does not fit, or those
            kept are not this agent's.
    """
    if edits is None:
        return _kept(run, policy) if has_edits(run) else None
    abilities = policy.settings.abilities
    needs_probes = any(edit.observation is None for edit in edits.of.values())
    if not abilities.paintable or (probes is None and needs_probes):
        why = (
            "keeps no positions (train.n_probes = 0)"
            if abilities.paintable
            else f"has mechanism '{policy.settings.mechanism}'"
        )
        raise RlAbnError(
            f"{run.path}: expected an agent whose maps can be edited, got one that {why}"
        )
    digest = f"{edits.digest}:{coef}"
    if has_edits(run) and read_json(run.path / META).get("edits") == digest:
        with suppress(RlAbnError):  # damaged: resolved anew
            return _kept(run, policy)
    observations = _observations(policy, probes, edits)
    with torch.no_grad():
        own = policy.attend(observations.to(policy.device))[0].map.cpu()
    size = (observations.shape[2], observations.shape[3])
    tensors = {
        "observations": observations,
        "maps": edits.apply(own, size, sums_to_one=abilities.sums_to_one).contiguous(),
        "coef": torch.tensor(coef),
    }
    save_tensors(run.path / "attention" / EDITS, tensors)
    run.update_meta(edits=digest)
    return EditedMaps(**tensors)


def _observations(policy: AttentionPolicy, probes: Probes | None, edits: Edits) -> Tensor:
    """Returns what the agent sees where it is edited, [E, C, H, W], in the edits' order."""
    kept = replace(edits, of={n: e for n, e in edits.of.items() if e.observation is None})
    found: dict[str, Tensor] = {}
    if kept.of:
        assert probes is not None
        numbers = kept.numbers([f"probe-{i}" for i in range(len(probes.observations))])
        found = dict(zip(kept.of, torch.as_tensor(probes.observations)[numbers], strict=True))
    space = policy.observation_space
    for name, edit in edits.of.items():
        if edit.observation is None:
            continue
        if edit.observation.shape != space.shape or edit.observation.dtype != space.dtype:
            known = f"{space.dtype} {list(space.shape or ())}"
            raise RlAbnError(
                f"{edits.place}: expected observations {known}, got "
                f"{edit.observation.dtype} {list(edit.observation.shape)} of {name[:80]!a}"
            )
        found[name] = torch.as_tensor(edit.observation)
    return torch.stack([found[name] for name in edits.of])


def has_edits(run: Run) -> bool:
    """Returns whether a run keeps edited maps."""
    return (run.path / "attention" / EDITS).is_file()


def _kept(run: Run, policy: AttentionPolicy) -> EditedMaps:
    """Reads the edited maps of a run.

    Raises:
        RlAbnError: If they are damaged, or of observations or maps that the agent has not.
    """
    path = run.path / "attention" / EDITS
    tensors = load_tensors(path)
    try:
        kept = EditedMaps(**tensors)
    except TypeError:
        raise RlAbnError(f"{path}: expected edited maps, got {sorted(tensors)}") from None
    fits = kept.observations.ndim == kept.maps.ndim == 4 and kept.coef.ndim == 0
    if not fits or not 0 < len(kept.observations) == len(kept.maps):
        shapes = [list(tensor.shape) for tensor in tensors.values()]
        raise RlAbnError(f"{path}: expected edited maps of as many observations, got {shapes}")
    if not policy.settings.abilities.paintable:
        raise RlAbnError(
            f"{path}: expected no edited maps with mechanism '{policy.settings.mechanism}', whose "
            "maps cannot be edited, got some; remove the file to train without them"
        )
    space = policy.observation_space
    blank = torch.as_tensor(np.zeros(space.shape or (), space.dtype))
    _check_like(path, "observations", kept.observations[0], blank)
    with torch.no_grad():
        own = policy.attend(blank[None].to(policy.device))[0].map
    _check_like(path, "maps", kept.maps[0], own[0])
    return kept


def _check_like(path: Path, what: str, got: Tensor, own: Tensor) -> None:
    """Refuses a tensor of another type or shape than the agent's own."""
    if (got.shape, got.dtype) != (own.shape, own.dtype):
        expected, found = (f"{tensor.dtype} {list(tensor.shape)}" for tensor in (own, got))
        raise RlAbnError(
            f"{path}: expected {what} of this agent, {expected}, got {found}".replace("torch.", "")
        )
