"""Schema of the Atari track's recipes: every field, its range and its default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rl_abn.attention import MECHANISMS, Abilities, AttentionSite, mechanism_options
from rl_abn.errors import did_you_mean
from rl_abn.networks import MEMORIES, NETWORKS
from rl_abn.protocols import ProtocolName
from rl_abn.recipes.options import Option, check_option

UNKNOWN_OPTION = "unknown_option"
"""The type of the error for a key that is no field, where options of a mechanism may stand."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"expected printable characters, got {text!r}")
    return text


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, lt=2**53)]
Byte = Annotated[int, Field(ge=0, le=255)]
ScreenSize = Annotated[int, Field(ge=36, le=512)]
# Printed on terminals and drawn into images, so untrusted text may have no control characters.
Label = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
# Not strict, because TOML has arrays where Python has tuples.
Colour = Annotated[tuple[Byte, Byte, Byte], Field(strict=False)]
Span = Annotated[tuple[int, int], Field(strict=False)]


def check_name(field: str, name: str, registry: Iterable[str]) -> None:
    """Raises ValueError, with the nearest name, if a name is not in a registry."""
    if name not in registry:
        raise ValueError(f"unknown {field} '{name}': {did_you_mean(name, registry)}")


def _check_span(field: str, span: tuple[int, int], end: int) -> None:
    if not 0 <= span[0] < span[1] <= end:
        raise ValueError(f"expected {field} = [first, end] within 0 to {end}, got {span}")


def _check_divides(field: str, part: int, whole_field: str, whole: int) -> None:
    if whole % part:
        near = next(d for d in range(min(part, whole), 0, -1) if whole % d == 0)
        raise ValueError(
            f"expected a {field} that divides {whole_field} = {whole}, got {part}; "
            f"the nearest below is {near}"
        )


class Table(BaseModel):
    """A table of a recipe. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def with_new_names(table: object, names: Mapping[str, str]) -> object:
    """Returns a table with renamed fields under their new names; `names` maps old to new."""
    if not isinstance(table, dict):
        return table
    return {names.get(key, key): value for key, value in table.items()}


class LinearSchedule(Table):
    """A value that changes linearly from `start` to `end` over the training."""

    kind: Literal["linear"] = "linear"
    start: NotNegative
    end: NotNegative = 0.0


def _kind_of_value(value: object) -> str:
    return "<schedule>" if isinstance(value, dict | LinearSchedule) else "<number>"


# pydantic puts the tags into an error's location; no key looks like them.
ScheduledFloat = Annotated[
    Annotated[Positive, Tag("<number>")] | Annotated[LinearSchedule, Tag("<schedule>")],
    Discriminator(_kind_of_value),
]


def schedule(value: float | LinearSchedule) -> Callable[[float], float]:
    """Returns a function of the progress remaining (1 at the start, 0 at the end), as SB3 uses.

    The last rollout may end a little after the last step, where SB3's progress is negative; the
    schedule stays at its end value there.
    """
    if isinstance(value, LinearSchedule):
        start, end = value.start, value.end
        return lambda remaining: end + (start - end) * max(remaining, 0.0)
    constant = float(value)
    return lambda _: constant


class OnPolicy(Table):
    """Settings that PPO and A2C have in common.

    Attributes:
        n_envs: Number of parallel games.
        n_steps: Steps of each game between two updates.
        learning_rate: Step size, or a schedule.
        gamma: Discount factor per step.
        gae_lambda: Trade-off between bias and variance of the advantages (Schulman et al. 2016).
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradients are clipped to this norm.
        clip_reward: Whether to learn from the sign of the reward (Mnih et al. 2015).
        branch_loss: Loss of the attention branch's own policy and value: "actor_critic" (the
            agent's loss, with the branch's own old log-probabilities), "distillation" (KL
            divergence and value error to the agent) or "none".
        branch_coef: Weight of the branch loss.
        glimpse_coef: Weight of the REINFORCE loss of hard attention's glimpse locations.
        glimpse_ent_coef: Weight of the entropy bonus of the glimpse locations.
    """

    n_envs: Annotated[int, Field(ge=1, le=4096)]
    n_steps: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: ScheduledFloat
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    ent_coef: NotNegative = 0.01
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    clip_reward: bool = True
    branch_loss: Literal["actor_critic", "distillation", "none"] = "actor_critic"
    branch_coef: NotNegative = 1.0
    glimpse_coef: NotNegative = 1.0
    glimpse_ent_coef: NotNegative = 0.01

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, table: object) -> object:
        return with_new_names(
            table, {"place_coef": "glimpse_coef", "place_ent_coef": "glimpse_ent_coef"}
        )


class PPO(OnPolicy):
    """Proximal policy optimisation (Schulman et al. 2017).

    Attributes:
        batch_size: Samples per minibatch; must divide n_envs * n_steps.
        sequence_length: Steps through which an agent with memory backpropagates; must divide
            n_steps and batch_size. 1 without memory. A2C backpropagates through whole rollouts.
        n_epochs: Passes over each rollout.
        clip_range: Clipping range of the probability ratio, or a schedule.
        normalize_advantage: Whether each minibatch's advantages are normalised to mean 0 and
            standard deviation 1.
        target_kl: Stops an update's epochs early above 1.5 times this KL divergence; 0 is no limit.
        adam_eps: Epsilon of the Adam optimizer.
    """

    name: Literal["ppo"] = "ppo"
    batch_size: Count = 256
    sequence_length: Count = 1
    n_epochs: Count = 4
    clip_range: ScheduledFloat = 0.1
    normalize_advantage: bool = True
    target_kl: NotNegative = 0.0
    adam_eps: Positive = 1e-5

    @model_validator(mode="after")
    def _batches_fill_the_rollout(self) -> Self:
        rollout = self.n_envs * self.n_steps
        _check_divides("batch_size", self.batch_size, "n_envs * n_steps", rollout)
        for field in ("n_steps", "batch_size"):
            _check_divides("sequence_length", self.sequence_length, field, getattr(self, field))
        if self.normalize_advantage and self.batch_size == 1:
            raise ValueError("expected batch_size > 1 with normalize_advantage, got 1")
        return self


class A2C(OnPolicy):
    """Synchronous advantage actor-critic (Mnih et al. 2016).

    Attributes:
        rms_prop_eps: Epsilon of the RMSprop optimizer, inside the square root as in TensorFlow.
        normalize_advantage: Whether each update's advantages are normalised to mean 0 and standard
            deviation 1.
    """

    name: Literal["a2c"] = "a2c"
    gae_lambda: Share = 1.0
    vf_coef: NotNegative = 0.25
    normalize_advantage: bool = False
    rms_prop_eps: Positive = 1e-5


class NetworkTable(Table):
    """The trunk.

    Attributes:
        extractor: Name of the network.
        attention_at: Height and width of the map for 84x84 observations.
        memory: "convlstm" on the features, "lstm" after the perception stage (with soft and hard
            attention, instead of it), or "none".
        memory_size: Units of an lstm; a convlstm has the features' channels.
        forget_at: When memory is reset: at the end of a "game", or at every lost "life" where the
            protocol counts lives.
    """

    extractor: str = "nature"
    attention_at: int = 9
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
        return self


class AttentionTable(Table):
    """How the agent attends. Keys besides these are the mechanism's own options.

    Attributes:
        mechanism: A name in `MECHANISMS`: "residual" (1 + M) · F, "mask" M · F, "se" a weight a
            channel, "soft" and "hard" glimpses that an LSTM asks for, "none" for no attention.
        maps: "shared" gives actor and critic one map, "split" one each.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    mechanism: str = "residual"
    maps: Literal["shared", "split"] = "shared"

    @property
    def options(self) -> dict[str, Option]:
        """The mechanism's own options."""
        return dict(self.__pydantic_extra__)

    @property
    def abilities(self) -> Abilities:
        """What the mechanism can do and needs."""
        return MECHANISMS[self.mechanism].abilities

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
    """Raises an error unless a mechanism has these options and takes these values."""
    defaults = mechanism_options(mechanism)
    for option, value in options.items():
        if option not in defaults:
            raise PydanticCustomError(
                UNKNOWN_OPTION,
                "unknown option",
                {"option": option, "options": [*defaults, "mechanism", "maps"]},
            )
        check_option(mechanism, option, value, defaults)
    if options:  # a trial, on no device: the mechanism itself knows the ranges
        with torch.device("meta"):
            MECHANISMS[mechanism](AttentionSite(channels=16, query_size=16), **options)


def _is_env_parts(value: object) -> object:
    """Lets "auto" and whole numbers from 1 to 8 pass.

    Raises:
        ValueError: For anything else, in one message for both kinds.
    """
    if value != "auto" and (type(value) is not int or not 1 <= value <= 8):
        raise ValueError(f"expected 'auto' or a whole number from 1 to 8, got {value!r}")
    return value


EnvParts = Annotated[int | Literal["auto"], BeforeValidator(_is_env_parts)]


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
        keep: How many of the newest checkpoints stay; 0 keeps all.
        n_probes: Game positions whose maps are kept at every logging point; 0 keeps none.
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
    may_change: ClassVar[tuple[str, ...]] = ("steps", "keep")

    steps: Count = 10_000_000
    protocol: ProtocolName = "legacy"
    log_every: Count = 10_000
    checkpoint_every_game_steps: Count = 31_250
    checkpoint_every: Count | None = None
    keep: Annotated[int, Field(ge=0, lt=2**53)] = 0
    n_probes: Annotated[int, Field(ge=0, le=64)] = 8
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    graphs: bool = False
    env_parts: EnvParts = "auto"
    emulator_threads: Annotated[int, Field(ge=0, le=4096)] = 0
    emulator_priority: Literal["low", "idle"] = "low"


class AgentRecipe(Table):
    """An agent: algorithm, network, attention, and how it is trained."""

    algorithm: Annotated[PPO | A2C, Field(discriminator="name")]
    network: NetworkTable = NetworkTable()
    attention: AttentionTable = AttentionTable.model_validate({})
    train: TrainTable = TrainTable()

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
        if total % n_envs:
            return recipe
        changes = {"checkpoint_every_game_steps": total // n_envs, "checkpoint_every": None}
        return {**recipe, "train": {**train, **changes}}

    @model_validator(mode="after")
    def _checkpoints_are_counted_in_one_way(self) -> Self:
        total, each = self.train.checkpoint_every, self.train.checkpoint_every_game_steps
        default = TrainTable.model_fields["checkpoint_every_game_steps"].default
        if total is not None and each != default:
            raise ValueError(
                f"expected train.checkpoint_every_game_steps = {each} alone, got "
                f"train.checkpoint_every = {total} too, which n_envs = {self.algorithm.n_envs} "
                "does not divide"
            )
        return self

    @model_validator(mode="after")
    def _games_come_in_equal_parts(self) -> Self:
        n_envs, n_parts = self.algorithm.n_envs, self.train.env_parts
        if n_parts != "auto":
            _check_divides("train.env_parts", n_parts, "algorithm.n_envs", n_envs)
        return self

    @model_validator(mode="after")
    def _sequences_are_for_memory(self) -> Self:
        length = getattr(self.algorithm, "sequence_length", 1)
        if self.network.memory == "none" and length > 1:
            raise ValueError(
                "expected algorithm.sequence_length = 1 where network.memory is 'none', "
                f"got {length}"
            )
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
        if self.attention.maps == "split" and not abilities.splits:
            raise ValueError(
                f"expected attention.maps = 'shared' with mechanism '{mechanism}', got 'split'"
            )
        if abilities.queries and memory != "lstm":
            raise ValueError(
                f"expected network.memory = 'lstm' with mechanism '{mechanism}' (its state asks "
                f"where to look), got '{memory}'"
            )
        return self


class Game(Table):
    """The game: its name for display, its Gymnasium id and its name among ale_py's ROMs."""

    title: Label
    id: Label
    rom: Label


class Crop(Table):
    """The part of the screen that Mask-A3C's agents see.

    Attributes:
        rows: First row and the row after the last, of 210; all 160 columns are used.
        height: Rows after a first resize, before the resize to `screen_size` squared.
    """

    rows: Span
    height: ScreenSize = 80

    @model_validator(mode="after")
    def _lies_on_the_screen(self) -> Self:
        _check_span("rows", self.rows, 210)
        return self


class Protocol(Table):
    """How a game is played, split into episodes and observed.

    Attributes:
        repeat_action_probability: Probability that the emulator repeats the last action (sticky
            actions).
        full_action_space: All 18 joystick actions instead of the game's own.
        noop_max: Maximum number of no-op frames at the start of a game.
        fire_reset: Whether FIRE is pressed at the start of a game.
        life_loss_terminal: Whether a lost life ends an episode, in training only.
        frame_skip: Emulator frames per step.
        max_pool: Whether an observation is the maximum of a step's last two frames.
        observations: "dqn" is stacked grey frames (Mnih et al. 2015), "mask_a3c" one grey crop
            normalised by running statistics (Itaya et al. 2021).
        crop: The part of the screen for mask_a3c; dqn uses all of it.
        screen_size: Height and width of an observation, in pixels.
        frame_stack: Number of steps whose frames are stacked in an observation.
        max_frames: Emulator frames after which a game is cut off.
    """

    repeat_action_probability: Share
    full_action_space: bool
    noop_max: Annotated[int, Field(ge=0, lt=2**31)]
    fire_reset: bool
    life_loss_terminal: bool
    frame_skip: Annotated[int, Field(ge=1, le=1024)] = 4
    max_pool: bool = True
    observations: Literal["dqn", "mask_a3c"] = "dqn"
    crop: Crop | None = None
    screen_size: ScreenSize = 84
    frame_stack: Annotated[int, Field(ge=1, le=64)] = 4
    max_frames: Annotated[int, Field(ge=1, lt=2**31)] = 108_000

    @property
    def seen_rows(self) -> tuple[int, int] | None:
        """Rows of the screen in an observation, first and after the last; None is all."""
        return None if self.crop is None else self.crop.rows

    @model_validator(mode="after")
    def _observations_have_what_they_need(self) -> Self:
        cropped = self.observations == "mask_a3c"
        if cropped != (self.crop is not None):
            raise ValueError(
                f"expected {'a' if cropped else 'no'} crop with observations "
                f"'{self.observations}', got {'none' if cropped else 'one'}"
            )
        if cropped and self.frame_stack != 1:
            raise ValueError(
                f"expected frame_stack = 1 with observations 'mask_a3c', got {self.frame_stack}"
            )
        return self


class Scores(Table):
    """Reference scores of a random player and of a human, and their source."""

    random: float
    human: float
    source: str


class GameObject(Table):
    """An object on the screen, found by its exact colours.

    Attributes:
        colours: RGB colours, 0..255.
        rows: First row and the row after the last where it can be, of 210; None is all.
        columns: The same for columns, of 160.
    """

    colours: Annotated[tuple[Colour, ...], Field(min_length=1, strict=False)]
    rows: Span | None = None
    columns: Span | None = None

    @model_validator(mode="after")
    def _lies_on_the_screen(self) -> Self:
        for field, end in (("rows", 210), ("columns", 160)):
            span = getattr(self, field)
            if span is not None:
                _check_span(field, span, end)
        return self


class EnvRecipe(Table):
    """A game: its protocols, reference scores and objects on the screen."""

    kind: Literal["atari"] = "atari"
    game: Game
    protocol: dict[ProtocolName, Protocol]
    scores: Scores
    objects: dict[str, GameObject] = {}


class RunRecipe(Table):
    """A run's resolved recipe: its recipes' names and contents, and the seed of the run."""

    agent_name: Label
    env_name: Label
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    agent: AgentRecipe
    env: EnvRecipe

    @model_validator(mode="after")
    def _protocol_exists(self) -> Self:
        if self.agent.train.protocol not in self.env.protocol:
            raise ValueError(
                f"expected train.protocol of {sorted(self.env.protocol)}, "
                f"got '{self.agent.train.protocol}'"
            )
        return self
