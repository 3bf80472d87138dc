"""Schema of a game's recipe: protocols, reference scores and what is on the screen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rl_abn.protocols import ProtocolName
from rl_abn.recipes.table import Colour, Label, ScreenSize, Share, Span, Table, check_span


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
        check_span("rows", self.rows, 210)
        return self


class Protocol(Table):
    """How a game is played, split into episodes and observed.

    Attributes:
        repeat_action_probability: Probability that the emulator repeats the last action (sticky
            actions).
        full_action_space: All 18 joystick actions instead of the game's own.
        noop_max: Maximum number of no-op frames at the start of a game, at most a minute of them.
        fire_reset: Whether FIRE is pressed at the start of a game.
        life_loss_terminal: Whether a lost life ends an episode, in training only.
        frame_skip: Emulator frames per step.
        max_pool: Whether an observation is the maximum of a step's last two frames.
        observations: "dqn" is stacked grey frames (Mnih et al. 2015), "mask_a3c" one grey crop
            normalised by running statistics (Itaya et al. 2021).
        crop: The part of the screen for mask_a3c; dqn uses all of it.
        screen_size: Height and width of an observation, in pixels.
        frame_stack: Number of steps whose frames are stacked in an observation.
        max_frames: Emulator frames after which a game is cut off, a second of play or more: each
            game that begins costs the no-ops of its start.
    """

    repeat_action_probability: Share
    full_action_space: bool
    noop_max: Annotated[int, Field(ge=0, le=3600)]
    fire_reset: bool
    life_loss_terminal: bool
    frame_skip: Annotated[int, Field(ge=1, le=1024)] = 4
    max_pool: bool = True
    observations: Literal["dqn", "mask_a3c"] = "dqn"
    crop: Crop | None = None
    screen_size: ScreenSize = 84
    frame_stack: Annotated[int, Field(ge=1, le=64)] = 4
    max_frames: Annotated[int, Field(ge=60, lt=2**31)] = 108_000

    @property
    def seen_rows(self) -> tuple[int, int] | None:
        """Rows of the screen in an observation, first and after the last; None is all."""
        return None if self.crop is None else self.crop.rows

    def with_actions(self, full_action_space: bool) -> Protocol:
        """Returns the same way to play with all 18 actions, or with the game's own."""
        return self.model_copy(update={"full_action_space": full_action_space})

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

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.human == self.random:  # human-normalised scores are shares of the difference
            raise ValueError(
                f"expected random and human scores that differ, got {self.human:g} for both"
            )
        return self


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
                check_span(field, span, end)
        return self


class EnvRecipe(Table):
    """A game: its protocols, and where known reference scores and objects on the screen."""

    kind: Literal["atari"] = "atari"
    game: Game
    protocol: dict[ProtocolName, Protocol]
    scores: Scores | None = None
    objects: dict[str, GameObject] = Field(default_factory=dict)

    def protocol_name(self, asked: str) -> str:
        """Returns the name of the protocol that an agent's recipe asks for."""
        return asked
