"""Schema and recipes of Gymnasium environments with pictures and discrete actions."""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Literal

from pydantic import Field

from rl_abn.recipes.env import Scores
from rl_abn.recipes.options import Option
from rl_abn.recipes.table import LONGEST_LABEL, Label, ScreenSize, Table

KIND = "gymnasium"
_ID = re.compile(r"(?:[A-Za-z_][\w.]*:)?((?:[\w.-]+/)?[\w.-]+-v\d+)")


class Environment(Table):
    """The environment: its name for display and its id for `gymnasium.make`.

    Attributes:
        title: What tables and videos call it.
        id: "EnvId-v0", or "module:EnvId-v0" with the module that registers it. The module is
            imported, so it is code that runs.
    """

    title: Label
    id: Annotated[Label, Field(pattern=_ID.pattern)]


class Preprocessing(Table):
    """How an environment is played and observed.

    Attributes:
        frame_skip: Environment steps per agent step; an observation is the maximum of the last
            two.
        grey: Whether RGB pictures become grey.
        screen_size: Height and width of an observation, in pixels; pictures are resized to it.
        frame_stack: Number of steps whose pictures are stacked in an observation.
        max_frames: Environment steps after which a game is cut off.
    """

    frame_skip: Annotated[int, Field(ge=1, le=1024)] = 1
    grey: bool = False
    screen_size: ScreenSize = 84
    frame_stack: Annotated[int, Field(ge=1, le=64)] = 4
    max_frames: Annotated[int, Field(ge=1, lt=2**31)] = 108_000

    @property
    def seen_rows(self) -> None:
        """Rows of the picture in an observation: all, which is None."""
        return None

    @property
    def full_action_space(self) -> bool:
        """Whether there are more actions than the environment's own: never."""
        return False

    def with_actions(self, full_action_space: bool) -> Preprocessing:
        """Returns the same: an environment's actions are its own."""
        return self


class GymnasiumRecipe(Table):
    """A Gymnasium environment: how it is made, played and observed.

    Attributes:
        game: Which environment.
        options: Its keyword arguments, as `gymnasium.make` passes them on.
        preprocessing: How it is played and observed.
        processes: "sync" steps the games in turn, "async" each in a process of its own, which
            pays where steps are slow.
        scores: Reference scores, if there are any.
    """

    kind: Literal["gymnasium"] = "gymnasium"
    game: Environment
    options: dict[str, Option] = Field(default_factory=dict)
    preprocessing: Preprocessing = Preprocessing()
    processes: Literal["sync", "async"] = "sync"
    scores: Scores | None = None

    @property
    def protocol(self) -> dict[str, Preprocessing]:
        """The one way to play it, by the name that evaluations give it."""
        return {KIND: self.preprocessing}

    def protocol_name(self, asked: str) -> str:
        """Returns the name of the one way to play it, whatever an agent's recipe asks for."""
        return KIND


# The text is the only source: what is written for a user is also what an id alone means.
_TEMPLATE = """\
# {title}, a Gymnasium environment with pictures and discrete actions.
kind = "gymnasium"
processes = "sync" # games step in turn; "async": each in a process of its own, for slow ones

[game]
title = "{title}" # what tables and videos call it
id = "{id}" # for gymnasium.make: EnvId-v0, or module:EnvId-v0 with the module that registers it

[options]
# The environment's own keyword arguments, such as: difficulty = "easy"

[preprocessing]
frame_skip = 1 # environment steps an agent step; an observation is the maximum of the last two
grey = false # RGB pictures become grey: less to compute where colours tell nothing
screen_size = 84 # height and width of an observation; pictures are resized to it, 36 or more
frame_stack = 4 # pictures in an observation, so that movement can be seen
max_frames = 108000 # a game is cut off after as many environment steps

# [scores] # reference scores, for human-normalised ones
# random = 0.0
# human = 1.0
# source = "where they are from"
"""


def id_in(name: str) -> str | None:
    """Returns the environment's id in "EnvId-v0" or "module:EnvId-v0", without the module.

    None for what is no such id, or a longer one than a recipe may have.
    """
    match = _ID.fullmatch(name) if len(name) <= LONGEST_LABEL else None
    return None if match is None else match[1]


def recipe_text(name: str) -> str:
    """Returns a recipe of an environment's id as TOML, with a comment for every field."""
    return _TEMPLATE.format(title=id_in(name), id=name)


def make_recipe(name: str) -> GymnasiumRecipe:
    """Returns a recipe of an environment's id; the same as `recipe_text`."""
    return GymnasiumRecipe.model_validate(tomllib.loads(recipe_text(name)))
