"""Schema of an agent's recipe: algorithm, network, attention, training, teacher, and init."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import gcd
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from rl_abn.attention import MECHANISMS, Abilities, AttentionSite, mechanism_options
from rl_abn.errors import RlAbnError
from rl_abn.networks import MEMORIES, NETWORKS, has_memory, trace_shape
from rl_abn.protocols import ProtocolName
from rl_abn.recipes.algorithms import A2C, PPO
from rl_abn.recipes.init import InitTable
from rl_abn.recipes.options import Option, check_option
from rl_abn.recipes.table import UNKNOWN_OPTION, Count, Table, check_divides, check_name
from rl_abn.recipes.teacher import TeacherTable

_SEQUENCE = 16
"""Steps of a sequence in the recipes of PPO with memory that ship."""


class NetworkTable(Table):
    """The trunk.

    Attributes:
        extractor: Name of the network.
        attention_at: Height and width of the map for 84x84 observations.
        layer_norm: Whether the outputs of the fully connected layer are normalised before their
            rectifier (Ba et al. 2016).
        memory: "convlstm" on the features, "lstm" after the perception stage (with soft and hard
            attention, instead of it), or "none".
        memory_size: Units of an lstm; a convlstm has the features' channels.
        forget_at: When memory is reset: at the end of a "game", or at every lost "life" where the
            protocol counts lives.
    """

    extractor: str = "nature"
    attention_at: int = 9
    layer_norm: bool = False
    memory: str = "none"
    memory_size: Annotated[int, Field(ge=1, le=8192)] = 256
    forget_at: Literal["game", "life"] = "game"

    @model_validator(mode="after")
    def _exists(self) -> Self:
        check_name("extractor", self.extractor, NETWORKS)
        check_name("memory", self.memory, MEMORIES)
        sizes = NETWORKS[self.extractor].attention_at
        if self.attention_at not in sizes:
            near = min(sizes, key=lambda size: abs(size - self.attention_at))
            raise ValueError(
                f"expected attention_at of {' or '.join(map(str, sizes))} for "
                f"{self.extractor}, got {self.attention_at}; the nearest is {near}"
            )
        if self.layer_norm:  # a trial, on no device: the network itself knows whether it can
            with torch.device("meta"):
                NETWORKS[self.extractor]((4, 84, 84), self.attention_at, layer_norm=True)
        return self


class AttentionTable(Table):
    """How the agent attends. Keys besides these are the mechanism's own options.

    Attributes:
        mechanism: A name in `MECHANISMS`: "residual" (1 + M) · F, "mask" M · F, "se" a weight a
            channel, "soft" and "hard" glimpses that an LSTM asks for, "none" for no attention.
        maps: "shared" gives actor and critic one map, "split" one each, with a perception stage
            each, and "policy" the actor alone: the critic, which is there for the training only,
            sees everything. Without attention, "split" is the fair baseline of both.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    mechanism: str = "residual"
    maps: Literal["shared", "split", "policy"] = "shared"

    @property
    def options(self) -> dict[str, Option]:
        """The mechanism's own options."""
        return dict(self.__pydantic_extra__)

    @property
    def abilities(self) -> Abilities:
        """What the mechanism can do and needs."""
        return MECHANISMS[self.mechanism].abilities_with(**self.options)

    @property
    def has_maps(self) -> bool:
        """Whether the agent has attention maps."""
        return self.abilities.maps is not None

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the agent's maps, none without attention."""
        return self.abilities.map_names(self.maps)

    @model_validator(mode="after")
    def _exists(self) -> Self:
        check_name("mechanism", self.mechanism, MECHANISMS)
        check_mechanism_options(self.mechanism, self.options)
        return self


def check_mechanism_options(mechanism: str, options: Mapping[str, Option]) -> None:
    """Raises an error unless a mechanism has these options, and values are of their types."""
    defaults = mechanism_options(mechanism)
    for option, value in options.items():
        if option not in defaults:
            raise PydanticCustomError(
                UNKNOWN_OPTION,
                "unknown option",
                {"option": option, "options": [*defaults, "mechanism", "maps"]},
            )
        check_option(mechanism, option, value, defaults)


def _is_env_parts(value: object) -> object:
    """Lets "auto" and whole numbers from 1 to 8 pass.

    Raises:
        ValueError: For anything else, in one message for both kinds.
    """
    if value != "auto" and (type(value) is not int or not 1 <= value <= 8):
        raise ValueError(f"expected 'auto' or a whole number from 1 to 8, got {value!r}")
    return value


EnvParts = Annotated[int | Literal["auto"], BeforeValidator(_is_env_parts)]


_GAME_STEPS = 31_250  # of each game between two checkpoints, where nobody says otherwise


class TrainTable(Table):
    """How training is run. A run's record has what "auto" came to when it began.

    Attributes:
        steps: Agent steps in all; one is four emulator frames.
        protocol: The env recipe's protocol to train under.
        log_every: Steps between two logging points.
        checkpoint_every_game_steps: Agent steps of each game between two checkpoints. All games
            start anew at a checkpoint, and those in play are cut short. 31,250 steps are 35
            minutes of play, which keeps that rare with 8 games as with 256. A training that is
            killed loses at most these steps of every game; one that is stopped loses none.
        checkpoint_every: The same in agent steps of all games together, as older recipes have it.
            Where it divides by n_envs it is read as checkpoint_every_game_steps, elsewhere it
            holds in its place. None leaves it to checkpoint_every_game_steps.
        checkpoint_every_minutes: Minutes between two recovery checkpoints, which a killed training
            goes on from. They change nothing in the training that goes on; the games restart where
            one is resumed from, as after Ctrl-C. 0 saves none.
        keep: How many of the newest checkpoints stay; 0 keeps all.
        eval_every: Agent steps of all games between two evaluations, on games of their own; they
            change nothing in the training. 0 evaluates never. The checkpoint with the highest mean
            score is kept as "best".
        eval_games: Games of such an evaluation.
        record_every: Agent steps of all games between two recordings of a whole game, always the
            same one, into episodes/ in the run folder; they change nothing in the training. 0
            records none.
        n_probes: Game positions whose maps are kept at every logging point; 0 keeps none.
        reliance_every: Steps between two measurements of how much the policy depends on its maps,
            on 4,096 positions of random play; 0 is never.
        precision: "fp32", "bf16", or "auto": bf16 where the processor or GPU computes it natively,
            else fp32.
        compile: Whether `torch.compile` makes kernels of the network's parts.
        graphs: Whether a GPU replays acting and gradients as CUDA graphs; nothing on a CPU.
        env_parts: Parts the games are stepped in, 1 to 8; with 2, one half's emulators run while
            the agent acts in the other. Has to divide n_envs. "auto" is 2 where there are enough
            games that split evenly and a core to run them beside the agent, else 1.
        emulator_threads: Threads that run the games of a part; 0 is one a core.
        emulator_priority: How the emulators of several parts give way on Linux: "low" to the agent,
            or "idle" to whatever else runs on the machine, which stops them while it is busy.
    """

    # Fields that may be others when a run is resumed.
    may_change: ClassVar[tuple[str, ...]] = (
        "steps",
        "keep",
        "checkpoint_every_minutes",
        "eval_every",
        "eval_games",
        "record_every",
    )

    steps: Count = 10_000_000
    protocol: ProtocolName = "legacy"
    log_every: Count = 10_000
    checkpoint_every_game_steps: Count = _GAME_STEPS
    checkpoint_every: Count | None = None
    checkpoint_every_minutes: Annotated[float, Field(ge=0, le=10_000)] = 5.0
    keep: Annotated[int, Field(ge=0, lt=2**53)] = 0
    eval_every: Annotated[int, Field(ge=0, lt=2**53)] = 0
    eval_games: Annotated[int, Field(ge=1, le=1000)] = 10
    record_every: Annotated[int, Field(ge=0, lt=2**53)] = 0
    n_probes: Annotated[int, Field(ge=0, le=64)] = 8
    reliance_every: Annotated[int, Field(ge=0, lt=2**53)] = 100_000
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    graphs: bool = False
    env_parts: EnvParts = "auto"
    emulator_threads: Annotated[int, Field(ge=0, le=4096)] = 0
    emulator_priority: Literal["low", "idle"] = "low"


@cache
def _site_of(extractor: str, attention_at: int) -> AttentionSite:
    """Returns where attention sits in a network that sees 84x84 observations."""
    shape = (4, 84, 84)
    with torch.random.fork_rng(devices=[]):
        trunk = NETWORKS[extractor](shape, attention_at).extractor()
        channels, height, width = trace_shape(trunk, shape)
    return AttentionSite(channels, query_size=16, map_size=(height, width))


class AgentRecipe(Table):
    """An agent: algorithm, network, attention, how it is trained, and from whom it has what.

    Attributes:
        teacher: Whom it learns from; None for nobody.
        init: Whose weights it begins with; None begins with random ones.
    """

    algorithm: Annotated[PPO | A2C, Field(discriminator="name")]
    network: NetworkTable = NetworkTable()
    attention: AttentionTable = AttentionTable.model_validate({})
    train: TrainTable = TrainTable()
    teacher: TeacherTable | None = None
    init: InitTable | None = None

    @property
    def has_memory(self) -> bool:
        """Whether the agent carries a state from step to step."""
        return has_memory(self.network.memory, self.attention.abilities)

    @property
    def states_evidence(self) -> bool:
        """Whether an attention branch says what speaks for each action, and where."""
        return self.algorithm.branch_loss != "none"

    @property
    def steps_between_checkpoints(self) -> int:
        """Agent steps of all games together between two checkpoints."""
        train = self.train
        return train.checkpoint_every or train.checkpoint_every_game_steps * self.algorithm.n_envs

    @model_validator(mode="before")
    @classmethod
    def _read_checkpoint_every(cls, recipe: object) -> object:
        """Turns steps of all games into steps of each, where they divide."""
        if not isinstance(recipe, dict):
            return recipe
        algorithm, train = recipe.get("algorithm"), recipe.get("train")
        if not isinstance(algorithm, dict) or not isinstance(train, dict):
            return recipe
        n_envs, total = algorithm.get("n_envs"), train.get("checkpoint_every")
        if not (type(n_envs) is int and type(total) is int and min(n_envs, total) > 0):
            return recipe
        each = train.get("checkpoint_every_game_steps", _GAME_STEPS)
        if total % n_envs or each not in (_GAME_STEPS, total // n_envs):
            return recipe  # a run that goes on has steps of each game already, the same number
        changes = {"checkpoint_every_game_steps": total // n_envs, "checkpoint_every": None}
        return {**recipe, "train": {**train, **changes}}

    @model_validator(mode="after")
    def _checkpoints_are_counted_in_one_way(self) -> Self:
        total, each = self.train.checkpoint_every, self.train.checkpoint_every_game_steps
        if total is not None and each != _GAME_STEPS:
            n_envs = self.algorithm.n_envs
            why = f", which n_envs = {n_envs} does not divide" if total % n_envs else ""
            raise ValueError(
                f"expected train.checkpoint_every_game_steps = {each} alone, got "
                f"train.checkpoint_every = {total} too{why}"
            )
        return self

    @model_validator(mode="after")
    def _games_come_in_equal_parts(self) -> Self:
        n_envs, n_parts = self.algorithm.n_envs, self.train.env_parts
        if n_parts != "auto":
            check_divides("train.env_parts", n_parts, "algorithm.n_envs", n_envs)
        return self

    @model_validator(mode="after")
    def _sequences_are_for_memory(self) -> Self:
        length = getattr(self.algorithm, "sequence_length", 1)
        if not self.has_memory and length > 1:
            raise ValueError(
                "expected algorithm.sequence_length = 1 where network.memory is 'none', "
                f"got {length}"
            )
        return self

    def check_sequences(self) -> None:
        """Refuses to begin with PPO and a memory that no gradient goes back in.

        For a new training alone: a run that was begun so goes on.

        Raises:
            RlAbnError: If sequences are of one step, and could be longer.
        """
        algorithm = self.algorithm
        if not (isinstance(algorithm, PPO) and self.has_memory and algorithm.sequence_length == 1):
            return
        common = gcd(algorithm.n_steps, algorithm.batch_size)
        longest = max(length for length in range(1, _SEQUENCE + 1) if common % length == 0)
        if longest > 1:
            raise RlAbnError(
                "expected an algorithm.sequence_length from 2 for an agent with memory, whose "
                "gradients go back through that many steps, got 1; add --set "
                f"algorithm.sequence_length={longest}"
            )

    @model_validator(mode="after")
    def _mechanism_takes_its_options_here(self) -> Self:
        options, network = self.attention.options, self.network
        if options:  # a trial, on no device: the mechanism itself knows the ranges
            site = _site_of(network.extractor, network.attention_at)
            with torch.device("meta"):
                MECHANISMS[self.attention.mechanism](site, **options)
        return self

    @model_validator(mode="after")
    def _mechanism_has_what_it_needs(self) -> Self:
        mechanism, abilities = self.attention.mechanism, self.attention.abilities
        branch_loss, memory = self.algorithm.branch_loss, self.network.memory
        if not abilities.answers and branch_loss != "none":
            raise ValueError(
                f"expected algorithm.branch_loss = 'none' where attention.mechanism is "
                f"'{mechanism}' (there is no branch), got '{branch_loss}'"
            )
        for field in ("map_area_coef", "map_entropy_coef", "map_information_coef"):
            if getattr(self.algorithm, field) != 0 and not abilities.editable:
                raise ValueError(
                    f"expected algorithm.{field} = 0 with mechanism '{mechanism}' (no gradient "
                    f"reaches a map), got {getattr(self.algorithm, field)}"
                )
        if self.attention.maps != "shared" and not abilities.splits:
            raise ValueError(
                f"expected attention.maps = 'shared' with mechanism '{mechanism}', got "
                f"'{self.attention.maps}'"
            )
        network = NETWORKS[self.network.extractor]
        if not abilities.any_channels and hasattr(network, "gated_channels"):
            raise ValueError(
                f"expected a mechanism that gates any number of channels with "
                f"network.extractor '{self.network.extractor}', got '{mechanism}'; "
                "the nearest is 'mask'"
            )
        if abilities.pictures_only:
            raise ValueError(
                f"expected a mechanism for agents, got '{mechanism}', which is for single "
                "pictures; the nearest are 'soft' and 'hard'"
            )
        if abilities.queries and memory != "lstm":
            raise ValueError(
                f"expected network.memory = 'lstm' with mechanism '{mechanism}' (its state asks "
                f"where to look), got '{memory}'"
            )
        return self
