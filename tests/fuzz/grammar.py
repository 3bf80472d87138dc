"""The cases: which command with which words, on what, and how that is damaged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.damage import (
    NUMBERS,
    STRANGE,
    damage_file,
    damage_folder,
    damage_text,
)
from tests.fuzz.material import AGENT_SETTINGS, CLASSIFIER_SETTINGS, set_words

KINDS = ("command line", "recipe", "run folder", "file")
CPU = ("--device", "cpu")
IMPOSSIBLE = "set/train/red/000.png/run"  # a folder below a file
AGENT = ("eval", "record", "watch", "export", "resume")
CLASSIFIER = ("vision eval", "vision record", "vision edit", "vision resume")

# Commands that end in seconds where nothing is wrong, by their name.
COMMANDS: dict[str, tuple[str, ...]] = {
    "eval": ("eval", "agent", "--episodes", "2", *CPU),
    "record": ("record", "agent", "--max-steps", "4", "--out", "new", *CPU),
    "watch": ("watch", "agent", "--max-steps", "4", "--out", "new/a.mp4", *CPU),
    "export": ("export", "agent", "new.zip"),
    "resume": (
        *("train", "--env", "pong", "--agent", "ppo_abn", "--out", "agent"),
        *("--on-exists", "resume", *CPU, *set_words(AGENT_SETTINGS)),
    ),
    "train": (
        *("train", "--env", "recipes/env.toml", "--agent", "recipes/agent.toml"),
        *("--out", IMPOSSIBLE, *CPU, *set_words(AGENT_SETTINGS)),
    ),
    "import sb3": (
        *("import", "sb3", "zips/agent.zip", "--env", "pong", "--trust-pickle"),
        *("--agent", "recipes/imported.toml", "--out", "new"),
    ),
    "import mask-a3c": ("import", "mask-a3c", "zips/weights", "--env", "pong", "--out", "new"),
    "recipes": ("recipes", "pong"),
    "bench": ("bench", "--list"),
    "vision eval": ("vision", "eval", "classifier", "--data", "set", *CPU),
    "vision record": (
        *("vision", "record", "classifier", "--data", "set", "--pictures", "2"),
        *("--out", "new/a.png", *CPU),
    ),
    "vision edit": (
        *("vision", "edit", "classifier", "--data", "set", "--edits", "edits"),
        *("--epochs", "1", "--out", "new", *CPU),
    ),
    "vision list": (
        *("vision", "edit", "classifier", "--data", "set", "--list", "2", "--out", "new", *CPU),
    ),
    "vision resume": (
        *("vision", "train", "--env", "cifar10", "--agent", "resnet20_abn", "--data", "set"),
        *("--out", "classifier", "--on-exists", "resume", *CPU, *set_words(CLASSIFIER_SETTINGS)),
    ),
    "vision train": (
        *("vision", "train", "--env", "recipes/data.toml", "--agent", "recipes/model.toml"),
        *("--data", "set", "--out", IMPOSSIBLE, *CPU, *set_words(CLASSIFIER_SETTINGS)),
    ),
    "vision drive": ("vision", "drive", "classifier", "--tracks", "1", "--max-steps", "2", *CPU),
    "drive data": (
        *("vision", "train", "--env", "driving_log", "--agent", "driving_abn", "--data", "drive"),
        *("--out", "new", "--epochs", "1", *CPU, "--set", "pictures.rows=[0,16]"),
        *("--set", "pictures.size=[66,66]", "--set", "train.batch_size=4"),
        *("--set", "folds.margin=1"),
    ),
}
# What decides how long a command takes stays, so that a right command ends in time.
_KEPT = ("--set", "--out", "--max-steps", "--episodes", "--epochs", "--tracks", "--list")


@dataclass
class Case:
    """One attempt.

    Attributes:
        kind: One of `KINDS`.
        words: The command line, without `rl-abn`.
        damage: What is done to the copy of the material first.
        done: What that was, in words.
    """

    kind: str
    words: list[str]
    damage: list[Callable[[Path], None]] = field(default_factory=list)
    done: str = ""


def make_case(seed: int, i: int) -> Case:
    """Returns case i of a seed; the same for the same two numbers."""
    rng = random.Random(f"{seed}-{i}")
    kind = KINDS[i % len(KINDS)]
    make = {
        "command line": _command_line,
        "recipe": _recipe,
        "run folder": _run_folder,
        "file": _file,
    }
    return make[kind](rng)


def _command_line(rng: random.Random) -> Case:
    name = rng.choice(sorted(set(COMMANDS) - {"resume", "vision resume", "vision edit"}))
    words = list(COMMANDS[name])
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(words) + 1)
        value = rng.choice((*STRANGE, *NUMBERS, "--", "-h", "--help", "--hlep", "--seed", "--json"))
        before = words[at - 1] if at else ""
        kept = at < len(words) and (words[at] in _KEPT or before in _KEPT)
        change = rng.randrange(4)
        if change == 0 or at == len(words):
            words.insert(at, value)
        elif kept:
            continue
        elif change == 1:
            words[at] = value
        elif change == 2:
            words[at] = _misspelt(rng, words[at])
        else:
            del words[at]
    return Case("command line", [word for word in words if "\0" not in word], done=name)


def _recipe(rng: random.Random) -> Case:
    name = rng.choice(("train", "vision train"))
    files = ("env", "agent") if name == "train" else ("data", "model")
    file = f"recipes/{rng.choice(files)}.toml"

    def damage(folder: Path) -> None:
        path = folder / file
        text = path.read_text("utf-8")
        path.unlink()
        path.write_bytes(damage_text(rng, text))

    return Case("recipe", list(COMMANDS[name]), [damage], file)


def _run_folder(rng: random.Random) -> Case:
    run, names = rng.choice((("agent", AGENT), ("classifier", CLASSIFIER)))
    name = rng.choice(names)
    return Case(
        "run folder",
        list(COMMANDS[name]),
        [lambda folder: damage_folder(rng, folder / run)],
        f"{run}, {name}",
    )


def _file(rng: random.Random) -> Case:
    name, what = rng.choice(
        (
            ("vision edit", "edits"),
            ("drive data", "drive"),
            ("drive data", "drive/driving_log.csv"),
            ("vision eval", "set"),
            ("import sb3", "zips/agent.zip"),
            ("import mask-a3c", "zips/weights"),
            ("vision list", "zips/set.zip"),
            ("drive data", "zips/drive.zip"),
        )
    )
    words = [
        what if word in ("set", "drive") and what.startswith("zips") else word
        for word in COMMANDS[name]
    ]

    def damage(folder: Path) -> None:
        path = folder / what
        if path.is_dir():
            damage_folder(rng, path)
        else:
            damage_file(rng, path)

    return Case("file", words, [damage], f"{what}, {name}")


def _misspelt(rng: random.Random, word: str) -> str:
    if len(word) < 2:
        return word * 2
    at = rng.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
