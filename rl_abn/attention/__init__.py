"""The attention core: torch and nothing else of ours. Both tracks stand on it."""

from rl_abn.attention.additive import AdditiveAttention
from rl_abn.attention.branch import Attention, AttentionBranch
from rl_abn.attention.interventions import INTERVENTIONS, Intervention
from rl_abn.attention.map_loss import map_loss
from rl_abn.attention.mechanisms import MECHANISMS, QUERIED, apply, one_hot_map
from rl_abn.attention.override import MapOverride, override_map
from rl_abn.attention.pooling import WeightedGlobalPooling
from rl_abn.attention.statistics import MapStatistics, map_statistics

__all__ = [
    "INTERVENTIONS",
    "MECHANISMS",
    "QUERIED",
    "AdditiveAttention",
    "Attention",
    "AttentionBranch",
    "Intervention",
    "MapOverride",
    "MapStatistics",
    "WeightedGlobalPooling",
    "apply",
    "map_loss",
    "map_statistics",
    "one_hot_map",
    "override_map",
]
