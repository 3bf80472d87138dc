"""The mechanisms there are, by name: those of the package, and those that users register."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from rl_abn.attention.mechanism import Mechanism
from rl_abn.attention.mechanisms.augmented_convolution import AugmentedConvolution
from rl_abn.attention.mechanisms.bottleneck import BottleneckAttention
from rl_abn.attention.mechanisms.causal import CausalAttention
from rl_abn.attention.mechanisms.cbam import Cbam
from rl_abn.attention.mechanisms.efficient_channel import EfficientChannelAttention
from rl_abn.attention.mechanisms.glimpse_series import HardGlimpses, SoftGlimpses
from rl_abn.attention.mechanisms.hard import HardAttention
from rl_abn.attention.mechanisms.highway import HighwayGate
from rl_abn.attention.mechanisms.hourglass import HourglassBlock
from rl_abn.attention.mechanisms.image_transformer import ImageTransformer
from rl_abn.attention.mechanisms.mask import MaskAttention
from rl_abn.attention.mechanisms.memory_network import KeyValueMemory, MemoryNetwork
from rl_abn.attention.mechanisms.more_layers import MoreLayers
from rl_abn.attention.mechanisms.non_local import NonLocalBlock
from rl_abn.attention.mechanisms.none import NoAttention
from rl_abn.attention.mechanisms.over_time import AttentionOverTime
from rl_abn.attention.mechanisms.residual import ResidualAttention
from rl_abn.attention.mechanisms.residual_module import ResidualAttentionModule
from rl_abn.attention.mechanisms.soft import SoftAttention
from rl_abn.attention.mechanisms.squeeze_excitation import SqueezeExcitation
from rl_abn.attention.mechanisms.transformer import TransformerEncoder

ENTRY_POINTS = "rl_abn.mechanisms"
"""The group in which another package's metadata names its mechanisms."""

MechanismClass = type[Mechanism]


class MechanismRegistry(Mapping[str, MechanismClass]):
    """Mechanisms by name. Installed packages are asked for a name only if nobody here has it."""

    def __init__(self, classes: Mapping[str, MechanismClass]) -> None:
        self._classes = dict(classes)
        self._installed: dict[str, EntryPoint] | None = None

    def register(self, name: str, mechanism: type) -> None:
        """Gives a mechanism a name; the same class may be registered again.

        The same is also a class of the same name from the same module: a notebook's cell that is
        run again defines it anew, and the newest definition counts.

        Raises:
            TypeError: If it is no subclass of `Mechanism`, declares no abilities, or has an option
                without a default.
            ValueError: If the name belongs to another mechanism.
        """
        if not (isinstance(mechanism, type) and issubclass(mechanism, Mechanism)):
            raise TypeError(f"expected a subclass of Mechanism for '{name}', got {mechanism!r}")
        if getattr(mechanism, "abilities", None) is None:
            raise TypeError(f"expected {mechanism.__name__} to declare its abilities, got none")
        for option, default in _options(mechanism).items():
            if default is inspect.Parameter.empty:
                raise TypeError(
                    f"expected a default of {mechanism.__name__}'s option '{option}', got none"
                )
        known = self._classes.get(name)
        if known is not None and _defined_as(known) != _defined_as(mechanism):
            raise ValueError(f"expected a new name, got '{name}', which is {known.__qualname__}")
        self._classes[name] = mechanism

    def __getitem__(self, name: str) -> MechanismClass:
        """Returns the mechanism of a name, loaded from the package that has it.

        Raises:
            KeyError: If there is none.
            ValueError: If another package's cannot be loaded or is no mechanism.
        """
        if name not in self._classes:
            point = self._entry_points()[name]
            try:
                self.register(name, point.load())
            except Exception as error:  # another package's code may raise anything
                why = str(error).partition("\n")[0] or type(error).__name__
                raise ValueError(
                    f"expected the mechanism '{name}' of an installed package, {point.value}, "
                    f"got {why}"
                ) from None
        return self._classes[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a mechanism of a name, without loading it."""
        return name in self._classes or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        """Yields all names, those of installed packages last."""
        yield from list(self._classes)
        yield from (name for name in self._entry_points() if name not in self._classes)

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(set(self._classes) | set(self._entry_points()))

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._installed is None:
            self._installed = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        return self._installed


def _defined_as(mechanism: type) -> tuple[str, str]:
    return mechanism.__module__, mechanism.__qualname__


MECHANISMS = MechanismRegistry(
    {
        "residual": ResidualAttention,
        "mask": MaskAttention,
        "bottleneck": BottleneckAttention,
        "se": SqueezeExcitation,
        "eca": EfficientChannelAttention,
        "cbam": Cbam,
        "residual_module": ResidualAttentionModule,
        "highway": HighwayGate,
        "hourglass": HourglassBlock,
        "non_local": NonLocalBlock,
        "augmented_convolution": AugmentedConvolution,
        "transformer": TransformerEncoder,
        "image_transformer": ImageTransformer,
        "causal": CausalAttention,
        "over_time": AttentionOverTime,
        "memory_network": MemoryNetwork,
        "key_value_memory": KeyValueMemory,
        "soft": SoftAttention,
        "hard": HardAttention,
        "soft_glimpses": SoftGlimpses,
        "hard_glimpses": HardGlimpses,
        "none": NoAttention,
        "more_layers": MoreLayers,
    }
)


def register_mechanism(name: str, mechanism: type) -> None:
    """Gives a mechanism of one's own a name, which recipes of both tracks can use from then on.

    A package does it without being imported, by an entry point in its pyproject.toml:

        [project.entry-points."rl_abn.mechanisms"]
        brightness = "my_package:Brightness"

    Args:
        name: What `attention.mechanism` calls it.
        mechanism: The class.

    Raises:
        TypeError: If it is no subclass of `Mechanism` or declares no abilities.
        ValueError: If the name belongs to another mechanism.
    """
    MECHANISMS.register(name, mechanism)


def mechanism_options(name: str) -> dict[str, object]:
    """Returns a mechanism's options, its keyword-only arguments, and their defaults."""
    return _options(MECHANISMS[name])


def _options(mechanism: type) -> dict[str, object]:
    """Returns keyword-only arguments; a class that passes `**others` on has its parent's too."""
    options: dict[str, object] = {}
    for cls in mechanism.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(cls).parameters.values()
        own = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        options = {**own, **options}
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return options
