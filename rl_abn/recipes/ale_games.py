"""Recipes of ALE's games that no file describes: the shipped protocols, no reference scores."""

from __future__ import annotations

import tomllib

from rl_abn.recipes.env import EnvRecipe

# Two players only: ALE cannot play them alone.
_FOR_TWO = frozenset({"combat", "joust", "maze_craze", "warlords"})
NAMESPACE = "ALE/"
"""What the Gymnasium id of every game of ALE begins with."""

# The text is the only source: what is written for a user is also what a name alone means.
_TEMPLATE = """\
# {title}, with the protocols that the shipped games have.
kind = "atari" # a game of ALE

[game]
title = "{title}" # what tables and videos call it
id = "{id}" # Gymnasium
rom = "{rom}" # ale_py.roms

[protocol.legacy]
# Mnih et al. (2015) as most published PPO and A2C scores use it: no sticky
# actions, up to 30 no-ops.
repeat_action_probability = 0.0 # of the last action instead of the new one (sticky actions)
full_action_space = false # all 18 joystick actions instead of the game's own
noop_max = 30 # most frames without action at the start of a game
fire_reset = true # press FIRE at the start of a game that has it
life_loss_terminal = true # a lost life ends an episode, in training only
frame_skip = 4 # emulator frames a step
max_pool = true # of the last two frames, because objects flicker
observations = "dqn" # stacked grey frames; "mask_a3c" is a grey crop with running statistics
screen_size = 84 # height and width of an observation
frame_stack = 4 # frames in an observation
max_frames = 108000 # a game is cut off after 30 minutes

[protocol.machado2018]
# Machado et al. (2018), "Revisiting the Arcade Learning Environment": sticky actions,
# all 18 actions, an episode ends only with the game. Observations as in legacy.
repeat_action_probability = 0.25
full_action_space = true
noop_max = 0
fire_reset = false
life_loss_terminal = false
frame_skip = 4
max_pool = true
observations = "dqn"
screen_size = 84
frame_stack = 4
max_frames = 18000 # 5 minutes

[protocol.mask_a3c]
# Mask-A3C (Itaya et al. 2021): one grey crop, normalised by running statistics.
repeat_action_probability = 0.0
full_action_space = false
noop_max = 30
fire_reset = true
life_loss_terminal = true # in training only
frame_skip = 4
max_pool = true
observations = "mask_a3c"
crop = {{ rows = [34, 194], height = 80 }} # of 210 rows; resized to 80 x 80, then to 80 x 80
screen_size = 80
frame_stack = 1
max_frames = 40000 # 10,000 agent steps

# [scores] # reference scores, for human-normalised ones
# random = 0.0
# human = 1.0
# source = "where they are from"

# [objects] # on the screen, by their exact colours (RGB) and, optionally, rows and columns
# player = {{ colours = [[210, 210, 64]], rows = [167, 180], columns = [0, 160] }}
"""


def list_games() -> list[str]:
    """Returns the names of all games that ALE can play alone, as ale_py.roms has them, sorted."""
    from ale_py import roms  # 0.4 s, which most commands do not need

    return sorted(set(roms.get_all_rom_ids()) - _FOR_TWO)


def list_ids() -> list[str]:
    """Returns the games' Gymnasium ids, such as "ALE/Assault-v5"."""
    return [_id(game) for game in list_games()]


def game_called(name: str) -> str | None:
    """Returns the game that a name or a Gymnasium id means, or None."""
    return next((game for game in list_games() if name in (game, _id(game))), None)


def recipe_text(game: str) -> str:
    """Returns a recipe of a game of `list_games` as TOML, with a comment for every field."""
    title = " ".join(word.capitalize() for word in game.split("_"))
    return _TEMPLATE.format(title=title, id=_id(game), rom=game)


def make_recipe(game: str) -> EnvRecipe:
    """Returns a recipe of a game of `list_games`; the same as `recipe_text`."""
    return EnvRecipe.model_validate(tomllib.loads(recipe_text(game)))


def _id(game: str) -> str:
    from ale_py.registration import rom_id_to_name

    return f"{NAMESPACE}{rom_id_to_name(game)}-v5"
