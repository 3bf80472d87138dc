"""The recipes in envs/ name screen colours: the emulator has to show them where they say."""

import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ale_py
import cv2
import gymnasium
import numpy as np
import pytest
from ale_py import Action, ALEInterface, LoggerMode, roms

from tests.covering import more

ENVS = Path(__file__).resolve().parents[2] / "envs"
RECIPES = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in ENVS.glob("*.toml")}
ATARI = sorted(name for name, recipe in RECIPES.items() if recipe["kind"] == "atari")
SOME = [name if name in ("breakout", "ms_pacman") else more(name)[0] for name in ATARI]

HEIGHT, WIDTH = 210, 160
Box = tuple[int, int, int, int]  # left, top, width, height
FRAMES = 1500
SAMPLE_EVERY = 5  # no multiple of 3 or 8, the periods in which flickering objects take turns
SEEDS = {
    "ms_pacman": 18,
    "seaquest": 20,
    "space_invaders": 3,
}  # games in which much happens; else 0

RARE = {
    ("breakout", "ball_above_bricks"): "takes a tunnel through six rows of bricks",
    ("ms_pacman", "fruit"): "appears when some 50 dots are eaten",
}


def new_game(name: str) -> ALEInterface:
    """A game without sticky actions, so that it depends on the actions alone."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    game = ALEInterface()
    game.setInt("random_seed", 0)
    game.setFloat("repeat_action_probability", 0.0)
    game.loadROM(roms.get_rom_path(RECIPES[name]["game"]["rom"]))
    return game


def play(name: str) -> Iterator[np.ndarray]:
    """Frames of random play; an action is held for 8 frames."""
    game = new_game(name)
    actions = game.getMinimalActionSet()
    rng = random.Random(SEEDS.get(name, 0))
    for frame in range(FRAMES):
        if frame % 8 == 0:
            action = actions[int(rng.random() * len(actions))]
        if game.game_over():
            game.reset_game()
        game.act(action)
        if frame % SAMPLE_EVERY == 0:
            yield game.getScreenRGB()


def masks(frame: np.ndarray, objects: dict[str, Any]) -> dict[str, np.ndarray]:
    """Where each object is: bool [210, 160]."""
    packed = pack(frame)
    found = {}
    for name, spec in objects.items():
        rows, columns = (
            slice(*spec.get("rows", (0, HEIGHT))),
            slice(*spec.get("columns", (0, WIDTH))),
        )
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[rows, columns] = np.isin(packed[rows, columns], pack(np.array(spec["colours"])))
        found[name] = mask
    return found


def pack(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def boxes(mask: np.ndarray) -> list[Box]:
    """Connected components, by row and then column."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = [tuple(int(value) for value in row[:4]) for row in stats[1:]]
    return sorted(found, key=lambda box: (box[1], box[0]))


@cache
def seen(name: str) -> tuple[dict[str, int], int]:
    """Frames each object is seen in, and the most objects that claim one pixel."""
    objects = RECIPES[name]["objects"]
    counts, most = dict.fromkeys(objects, 0), 0
    for frame in play(name):
        found = masks(frame, objects)
        for thing, mask in found.items():
            counts[thing] += bool(mask.any())
        most = max(most, int(np.sum(list(found.values()), axis=0).max()))
    return counts, most


@pytest.mark.more
@pytest.mark.parametrize("name", ATARI)
def test_every_object_is_on_screen_in_random_play(name: str) -> None:
    counts, _ = seen(name)
    missing = {thing for thing, count in counts.items() if count == 0}
    assert missing <= {thing for game, thing in RARE if game == name}


@pytest.mark.parametrize("name", SOME)
def test_a_pixel_belongs_to_one_object_at_most(name: str) -> None:
    _, most = seen(name)
    assert most == 1


@pytest.mark.parametrize("name", ATARI)
def test_regions_lie_on_the_screen(name: str) -> None:
    for spec in RECIPES[name]["objects"].values():
        for key, size in (("rows", HEIGHT), ("columns", WIDTH)):
            first, last = spec.get(key, (0, size))
            assert 0 <= first < last <= size
        assert np.array(spec["colours"]).shape == (len(spec["colours"]), 3)


@pytest.mark.parametrize("name", ATARI)
def test_identifier_and_rom_name_the_same_game(name: str) -> None:
    gymnasium.register_envs(ale_py)
    game = RECIPES[name]["game"]
    assert gymnasium.spec(game["id"]).kwargs["game"] == game["rom"] == name


@pytest.mark.parametrize("name", ATARI)
def test_fire_is_pressed_only_where_there_is_a_fire(name: str) -> None:
    has_fire = Action.FIRE in new_game(name).getMinimalActionSet()
    assert RECIPES[name]["protocol"]["legacy"]["fire_reset"] == has_fire


def start(name: str, frames: int) -> list[dict[str, list[Box]]]:
    """The boxes of each object in the first frames, when nobody moves."""
    game = new_game(name)
    found = []
    for _ in range(frames):
        game.act(Action.NOOP)
        objects = masks(game.getScreenRGB(), RECIPES[name]["objects"])
        found.append({thing: boxes(mask) for thing, mask in objects.items()})
    return found


def test_space_invaders_starts_with_36_aliens_and_3_shields() -> None:
    frames = start("space_invaders", 32)
    for found in frames:
        assert [box[2:] for box in found["aliens"]] == [(8, 10)] * 36
        assert found["shields"] == [(42, 157, 8, 18), (74, 157, 8, 18), (106, 157, 8, 18)]
        assert found["shots"] == found["command_ship"] == []
        assert len(found["lives"]) == 1
    # The cannon blinks at first.
    assert {len(found["player"]) for found in frames} == {0, 1}
    assert {box[1:] for found in frames for box in found["player"]} == {(185, 7, 10)}


def test_ms_pacman_starts_with_four_ghosts_and_four_power_pellets() -> None:
    frames = start("ms_pacman", 48)
    for found in frames:
        assert len(found["player"]) == 1
        assert len(found["lives"]) == 2
        assert found["frightened_ghosts"] == found["fruit"] == []
        # 150 pellets in all, 14 of them in the outermost corridors.
        assert sum(box[2:] == (4, 2) for box in found["maze"]) == 136
    assert {found["blinky"][0] for found in frames} == {(76, 51, 8, 10)}
    # The other three take turns in one place of their house.
    for ghost in ("pinky", "inky", "sue"):
        assert sum(len(found[ghost]) for found in frames) == 48 / 3
        assert {box for found in frames for box in found[ghost]} == {(76, 81, 8, 10)}
    for corner, place in {
        "top_left": (8, 15, 4, 7),
        "top_right": (148, 14, 4, 7),
        "bottom_left": (8, 147, 4, 7),
        "bottom_right": (148, 146, 4, 7),
    }.items():
        pellet = [found[f"power_pellet_{corner}"] for found in frames]
        assert {tuple(found) for found in pellet} == {(), (place,)}


def test_breakout_starts_with_108_bricks() -> None:
    found = start("breakout", 1)[0]
    assert found["bricks"] == [(8, 57, 18 * 8, 6 * 6)]
    assert [box[1:] for box in found["player"]] == [(189, 16, 4)]
    assert found["ball"] == found["ball_above_bricks"] == []


def test_qbert_starts_with_21_cubes() -> None:
    found = start("qbert", 60)[-1]  # the screen is black for a moment
    assert [box[2:] for box in found["cube_tops"]] == [(20, 5)] * 21
    assert len(found["cube_sides"]) == 21


def test_beam_rider_and_seaquest_start_with_their_lives() -> None:
    found = start("beam_rider", 1)[0]
    assert [box[1:] for box in found["player"]] == [(167, 15, 13)]
    assert (len(found["lives"]), len(found["torpedoes_left"])) == (2, 3)
    found = start("seaquest", 1)[0]
    assert [box[1:] for box in found["player"]] == [(46, 16, 7)]
    assert len(found["lives"]) == 3


def test_the_agent_moves_the_right_paddle_in_pong() -> None:
    game = new_game("pong")
    tops = []
    for action in [Action.NOOP] * 150 + [Action.RIGHT] * 8:
        game.act(action)
        paddle = boxes(masks(game.getScreenRGB(), RECIPES["pong"]["objects"])["player"])
        tops.append([box[:2] for box in paddle])
    assert tops[149] == [(140, 96)]
    assert tops[-1][0][1] < 96


@pytest.mark.more
def test_rare_objects_show_when_the_game_is_led_to_them() -> None:
    # Bytes of the console's memory: dots eaten, the ball's height.
    game = new_game("ms_pacman")
    fruit: list[Box] = []
    for frame in range(330):
        game.act(Action.LEFT)
        if frame == 270:
            game.setRAM(119, 50)
        fruit = boxes(masks(game.getScreenRGB(), RECIPES["ms_pacman"]["objects"])["fruit"])
        if fruit:
            break
    assert [box[2:] for box in fruit] == [(8, 10)]

    game = new_game("breakout")
    for frame in range(60):
        game.act(Action.FIRE if frame < 3 else Action.NOOP)
    game.setRAM(101, 30)
    game.act(Action.NOOP)
    found = masks(game.getScreenRGB(), RECIPES["breakout"]["objects"])
    assert [box[1:] for box in boxes(found["ball_above_bricks"])] == [(39, 2, 4)]
    assert not found["ball"].any()
