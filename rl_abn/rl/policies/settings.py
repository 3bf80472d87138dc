"""What an attention policy is made of: one frozen record, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from rl_abn.attention import MECHANISMS, Abilities
from rl_abn.compute import Compute, Precision
from rl_abn.networks import MEMORIES, NETWORKS, has_memory


@dataclass(frozen=True)
class PolicySettings:
    """The settings of an `AttentionPolicy`.

    Attributes:
        extractor: A name in `NETWORKS`.
        attention_at: Map size for 84x84 observations; None takes the network's default.
        layer_norm: Whether the fully connected layer's outputs are normalised.
        mechanism: A name in `MECHANISMS`.
        mechanism_options: The mechanism's own options.
        maps: "shared" gives actor and critic one map, "split" one each, and a perception stage
            each; without attention that is what is left of it. "policy" is the same with a map for
            the actor alone: the critic sees the features as they are.
        branch_answers: Whether the mechanism states a policy and a value of its own, if it can.
        memory: A name in `MEMORIES`: "none", "convlstm" on the features, or "lstm" after every
            perception stage. A mechanism that needs a query needs "lstm", which takes the place of
            the stage. stable-baselines3's own algorithms train agents without memory only.
        memory_size: Size of an "lstm"; a "convlstm" has the features' channels.
        forget_at: Whether memory is emptied at the end of a "game", or at every lost "life".
        map_learning_rate_factor: Learning rate of the layers that make the maps, as a factor of the
            others'.
        keeps_return_moments: Whether the weights have a buffer with the moments of the returns,
            which rewards are scaled by.
        precision: "fp32" or "bf16".
        compiled: Whether `torch.compile` compiles the network's parts.
        graphs: Whether a GPU replays recorded CUDA graphs; nothing changes on a CPU.

    Raises:
        ValueError: If a name is unknown, or the mechanism cannot be used this way.
    """

    extractor: str = "nature"
    attention_at: int | None = None
    layer_norm: bool = False
    mechanism: str = "residual"
    mechanism_options: Mapping[str, Any] = field(default_factory=dict)
    maps: str = "shared"
    branch_answers: bool = True
    memory: str = "none"
    memory_size: int = 256
    forget_at: str = "game"
    map_learning_rate_factor: float = 1.0
    keeps_return_moments: bool = False
    precision: Precision = "fp32"
    compiled: bool = False
    graphs: bool = False

    @classmethod
    def among(cls, kwargs: Mapping[str, Any]) -> PolicySettings:
        """Returns the settings that are among a policy's keyword arguments."""
        names = {own.name for own in fields(cls)}
        return cls(**{name: value for name, value in kwargs.items() if name in names})

    def __post_init__(self) -> None:
        """Checks the settings against each other."""
        expect("extractor", self.extractor, NETWORKS)
        expect("mechanism", self.mechanism, MECHANISMS)
        expect("maps", self.maps, ("shared", "split", "policy"))
        expect("memory", self.memory, MEMORIES)
        expect("forget_at", self.forget_at, ("game", "life"))
        if self.maps != "shared" and not self.abilities.splits:
            raise ValueError(
                f"expected maps='shared' with mechanism='{self.mechanism}', got '{self.maps}'"
            )
        if self.abilities.pictures_only:
            raise ValueError(f"expected a mechanism for agents, got '{self.mechanism}'")
        if self.abilities.queries and self.memory != "lstm":
            raise ValueError(
                f"expected memory='lstm' with mechanism='{self.mechanism}', got '{self.memory}'"
            )

    @property
    def abilities(self) -> Abilities:
        """What the mechanism can do and needs."""
        return MECHANISMS[self.mechanism].abilities_with(**self.mechanism_options)

    @property
    def n_stages(self) -> int:
        """Perception stages after the gates: the actor's, and the critic's where it has its own."""
        return 1 if self.maps == "shared" else 2

    def is_gated(self, stage: int) -> bool:
        """Returns whether a perception stage sees the features through a map."""
        return stage == 0 or self.maps != "policy"

    @property
    def has_memory(self) -> bool:
        """Whether the agent carries a state from step to step."""
        return has_memory(self.memory, self.abilities)

    @property
    def answers(self) -> bool:
        """Whether the mechanism states a policy and a value of its own."""
        return self.branch_answers and self.abilities.answers

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of `PolicyOutput.map`'s second dimension."""
        return self.abilities.map_names(self.maps)

    @property
    def compute(self) -> Compute:
        """How the networks compute."""
        return Compute(self.precision, compiled=self.compiled, graphs=self.graphs)

    def as_kwargs(self) -> dict[str, Any]:
        """Returns the settings as `AttentionPolicy`'s keyword arguments, plain data."""
        return asdict(self)


def expect(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises ValueError unless a setting's value is one of the choices."""
    if value not in choices:
        raise ValueError(f"expected {name} of {sorted(choices)}, got '{value}'")
