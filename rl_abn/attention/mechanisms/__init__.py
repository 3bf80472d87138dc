"""How attention is computed and gates features: a class a file, and one line in the registry."""

from rl_abn.attention.mechanisms.glimpse import Glimpse, GlimpseSampler, QueriedMechanism
from rl_abn.attention.mechanisms.hard import one_hot_map
from rl_abn.attention.mechanisms.registry import MECHANISMS, mechanism_options, register_mechanism
from rl_abn.attention.mechanisms.remembering import RememberingMechanism
from rl_abn.attention.mechanisms.squeeze_excitation import SqueezeExcitation

__all__ = [
    "MECHANISMS",
    "Glimpse",
    "GlimpseSampler",
    "QueriedMechanism",
    "RememberingMechanism",
    "SqueezeExcitation",
    "mechanism_options",
    "one_hot_map",
    "register_mechanism",
]
