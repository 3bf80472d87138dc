"""The attention core: torch and nothing else of ours. Both tracks stand on it."""

from rl_abn.attention.branch import AttentionBranch
from rl_abn.attention.interventions import INTERVENTIONS, Intervention
from rl_abn.attention.map_loss import map_loss
from rl_abn.attention.mechanism import (
    Abilities,
    Attention,
    AttentionSite,
    MapKind,
    Mechanism,
    no_answer,
    places_like,
)
from rl_abn.attention.mechanisms import (
    MECHANISMS,
    Glimpse,
    GlimpseSampler,
    QueriedMechanism,
    RememberingMechanism,
    SqueezeExcitation,
    mechanism_options,
    one_hot_map,
    register_mechanism,
)
from rl_abn.attention.override import MapOverride, override_map
from rl_abn.attention.pooling import WeightedGlobalPooling
from rl_abn.attention.statistics import LOGGED_STATISTICS, MapStatistics, map_statistics

__all__ = [
    "INTERVENTIONS",
    "LOGGED_STATISTICS",
    "MECHANISMS",
    "Abilities",
    "Attention",
    "AttentionBranch",
    "AttentionSite",
    "Glimpse",
    "GlimpseSampler",
    "Intervention",
    "MapKind",
    "MapOverride",
    "MapStatistics",
    "Mechanism",
    "QueriedMechanism",
    "RememberingMechanism",
    "SqueezeExcitation",
    "WeightedGlobalPooling",
    "map_loss",
    "map_statistics",
    "mechanism_options",
    "no_answer",
    "one_hot_map",
    "override_map",
    "places_like",
    "register_mechanism",
]
