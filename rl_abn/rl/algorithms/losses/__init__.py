"""Auxiliary losses: what is learned beside the algorithm's own loss, a file each."""

from __future__ import annotations

from rl_abn.rl.algorithms.losses.auxiliary import (
    AuxiliaryLoss,
    LossTerms,
    Objective,
    ScheduledWeight,
    Weight,
    update_weights,
    weight_now,
)
from rl_abn.rl.algorithms.losses.branch import (
    BranchActorCritic,
    BranchDistillation,
    BranchOffPolicy,
)
from rl_abn.rl.algorithms.losses.edited_maps import EditedMaps
from rl_abn.rl.algorithms.losses.glimpse import GlimpseLoss
from rl_abn.rl.algorithms.losses.map_size import MapArea, MapEntropy, MapInformation
from rl_abn.rl.algorithms.losses.teacher import TeacherDistillation
from rl_abn.rl.policies.settings import PolicySettings


def default_losses(settings: PolicySettings) -> list[AuxiliaryLoss]:
    """Returns what a policy's attention needs to learn: a branch's answer, a choice of location."""
    losses: list[AuxiliaryLoss] = []
    if settings.abilities.samples:
        losses.append(GlimpseLoss())
    if settings.answers:
        losses.append(BranchActorCritic())
    return losses


__all__ = [
    "AuxiliaryLoss",
    "BranchActorCritic",
    "BranchDistillation",
    "BranchOffPolicy",
    "EditedMaps",
    "GlimpseLoss",
    "LossTerms",
    "MapArea",
    "MapEntropy",
    "MapInformation",
    "Objective",
    "ScheduledWeight",
    "TeacherDistillation",
    "Weight",
    "default_losses",
    "update_weights",
    "weight_now",
]
