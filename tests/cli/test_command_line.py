"""What the command line shows when it is asked for something sensible."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rl_abn import __version__
from rl_abn.cli import main
from rl_abn.cli.commands import COMMANDS, make_parser
from rl_abn.cli.parser import Formatter, one_of, whole_number
from rl_abn.cli.recipes import EVERY_ENVIRONMENT, EVERY_GAME
from rl_abn.recipes import gymnasium_env, recipe_summary
from rl_abn.recipes.ale_games import recipe_text
from rl_abn.runs import WEIGHTS, Run
from rl_abn.runs.shipped import list_shipped

Command = Callable[..., Any]
Mistake = Callable[..., str]
CHECKOUT = Path(__file__).resolve().parents[2]
RECIPES = {
    kind: sorted(path.stem for path in (CHECKOUT / kind).glob("*.toml"))
    for kind in ("agents", "envs", "agents/vision", "envs/vision", "agents/translation")
}
HEADINGS = {
    "agents": "agents",
    "envs": "envs",
    "agents/vision": "vision agents (networks)",
    "envs/vision": "vision envs (data)",
    "agents/translation": "vision translators",
}
OPTIONS = {
    "train": {
        "--env",
        "--agent",
        "--steps",
        "--seed",
        "--out",
        "--on-exists",
        "--keep",
        "--teacher",
        "--init",
        "--edits",
        "--edit-coef",
        "--eval-every",
        "--wandb",
        "--set",
        "--device",
    },
    "eval": {
        "--episodes",
        "--protocol",
        "--greedy",
        "--intervention",
        "--blind",
        "--random",
        "--max-steps",
        "--record",
        "--teacher",
        "--checkpoint",
        "--seed",
        "--json",
        "--device",
    },
    "record": {
        "--episodes",
        "--out",
        "--on-exists",
        "--intervention",
        "--map",
        "--keep",
        "--greedy",
        "--max-steps",
        "--checkpoint",
        "--seed",
        "--device",
    },
    "watch": {
        "--out",
        "--over-training",
        "--scale",
        "--fps",
        "--evidence",
        "--greedy",
        "--intervention",
        "--map",
        "--max-steps",
        "--checkpoint",
        "--seed",
        "--device",
    },
    "view": {"--host", "--port", "--token", "--no-browser", "--export"},
    "explain": {
        "--quick",
        "--out",
        "--episodes",
        "--states",
        "--max-steps",
        "--over-training",
        "--gaze",
        "--map",
        "--checkpoint",
        "--seed",
        "--device",
    },
    "compare": {"--episodes", "--states", "--out", "--seed", "--device"},
    "vision": set(),
    "export": {"--checkpoint", "--notes", "--on-exists"},
    "import": set(),
    "recipes": {"--new"},
    "sweep": {"--engine", "--out", "--workers", "--minutes", "--dry-run", "--report"},
    "campaign": {
        "--minutes",
        "--work",
        "--out",
        "--pack-mb",
        "--device",
        "--workers",
        "--rehearse",
    },
    "bench": {
        "--only",
        "--list",
        "--quick",
        "--repeats",
        "--seconds",
        "--env",
        "--threads",
        "--set",
        "--device",
        "--json",
        "--from",
        "--markdown",
    },
}


def test_help_lists_the_commands(rl_abn: Command) -> None:
    code, out, err = rl_abn("--help")
    assert (code, err) == (0, "")
    assert set(COMMANDS) == set(OPTIONS)
    for command in COMMANDS:
        assert re.search(rf"^    {command} +\w", out, re.MULTILINE)


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_a_command_names_its_options(rl_abn: Command, command: str) -> None:
    code, out, err = rl_abn(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: rl-abn {command} ")
    described = re.findall(r"^  (?:-h, )?(--[a-z-]+)\b", out, re.MULTILINE)
    assert sorted(described) == sorted({*OPTIONS[command], "--help"})


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("eval", "games to play (default: 30)"),
        ("eval", "auto, cpu, cuda or cuda:N (default: auto)"),
        ("eval", "seed of the games and the bootstrap (default: 0)"),
        ("train", "run folder (default: runs/ENV/AGENT/seed-S)"),
        ("watch", "(default: fixed)"),
        ("sweep", "says that more is to do (default: when all is done)"),
    ],
)
def test_help_shows_defaults(rl_abn: Command, command: str, shown: str) -> None:
    out = " ".join(rl_abn(command, "--help").out.split())
    assert shown in out
    assert "default: None" not in out
    assert "default: False" not in out
    assert "default: []" not in out


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from all_parsers(command)


def test_no_help_says_a_default_twice() -> None:
    commands = list(all_parsers(make_parser([])))
    assert len(commands) > 10  # those of commands within commands, too
    for command in commands:
        text = " ".join(command.format_help().split())
        # Options with what is said of them, from their names on.
        for option in re.split(r" (?=--[a-z])", text):
            assert option.count("(default") <= 1, f"{command.prog}: {option}"


@pytest.mark.parametrize("width", [60, 80])
def test_help_fits_into_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for command in all_parsers(make_parser([])):
        for line in command.format_help().splitlines():
            assert len(line) <= width, f"{command.prog}: {line}"


def test_a_command_in_a_description_stays_a_line_and_prose_flows() -> None:
    text = (
        "One sentence\ngoes on.\n\n  do this   for that, with more than fits\n  do more   and so on"
    )
    shown = Formatter("x")._fill_text(text, 40, "")
    assert shown.splitlines() == [
        "One sentence goes on.",
        "",
        "  do this   for that, with more than",
        "            fits",
        "  do more   and so on",
    ]


def test_version(rl_abn: Command) -> None:
    assert rl_abn("--version") == (0, f"rl-abn {__version__}\n", "")


def test_the_words_come_from_the_process_when_none_are_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["rl-abn", "recipes", "envs"])
    main()
    assert capsys.readouterr().out.startswith("envs:\n")


def listing(kinds: list[str]) -> list[str]:
    lines = []
    for kind in kinds:
        lines.append(f"{HEADINGS[kind]}:")
        lines += [f"  {name:24}{recipe_summary(kind, name)}" for name in RECIPES[kind]]  # type: ignore[arg-type]
        if kind == "envs":
            lines.append(f"  {'GAME':24}{EVERY_GAME}")
            lines.append(f"  {'module:EnvId-v0':24}{EVERY_ENVIRONMENT}")
    return [*lines, "next: rl-abn recipes NAME shows one; copy it, change it, and pass its path"]


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ((), list(RECIPES)),
        (("agents",), ["agents"]),
        (("envs",), ["envs"]),
        (("vision",), ["agents/vision", "envs/vision", "agents/translation"]),
        (("trained",), []),
    ],
)
def test_recipes_are_listed(rl_abn: Command, words: tuple[str, ...], kinds: list[str]) -> None:
    code, out, err = rl_abn("recipes", *words)
    assert (code, err) == (0, "")
    *lines, last = out.splitlines()
    if words in ((), ("trained",)):
        title = lines.index("trained agents, for every command that takes a run:")
        assert [line.split()[0] for line in lines[title + 1 :]] == list_shipped()
        lines = lines[:title]
    assert [*lines, last] == listing(kinds)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in RECIPES.items() for name in names]
)
def test_a_recipe_is_shown_as_it_is(rl_abn: Command, kind: str, name: str) -> None:
    code, out, err = rl_abn("recipes", name)
    assert (code, err) == (0, "")
    assert out == (CHECKOUT / kind / f"{name}.toml").read_text("utf-8")


def test_a_new_recipe_is_written_and_can_be_trained_on(
    rl_abn: Command, folder: Path, mistake: Mistake
) -> None:
    code, out, err = rl_abn("recipes", "--new", "assault")
    assert (code, out, err) == (0, recipe_text("assault"), "")
    for name in ("assault", "ALE/Assault-v5"):
        assert rl_abn("recipes", name).out == rl_abn("recipes", "--new", "ALE/Assault-v5").out
    assert rl_abn("recipes", "ALE/Pong-v5").out == rl_abn("recipes", "pong").out
    gymnasiums = rl_abn("recipes", "--new", "my_games:Catch-v0").out
    assert gymnasiums == gymnasium_env.recipe_text("my_games:Catch-v0")
    assert rl_abn("recipes", "my_games:Catch-v0").out == gymnasiums
    (folder / "assault.toml").write_text(out, "utf-8")
    # A wrong device comes after the recipes have been read.
    said = mistake("train", "--env", "assault.toml", "--agent", "ppo_abn_paper", "--device", "gpu")
    assert said == "expected auto, cpu, cuda or cuda:N, got 'gpu'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--new", "asault"),
            "expected a game of ALE for --new, got 'asault': did you mean 'assault'?",
        ),
        (("envs", "--new", "assault"), "expected --new GAME alone, got 'envs' too"),
        (("asault",), "unknown recipe 'asault': did you mean 'assault'?"),
        (("ALE/Asault-v5",), "unknown recipe 'ALE/Asault-v5': did you mean 'assault'?"),
    ],
)
def test_mistakes_with_new_recipes(mistake: Mistake, words: tuple[str, ...], said: str) -> None:
    assert mistake("recipes", *words) == said


def test_what_is_shown_can_be_passed_back(rl_abn: Command, folder: Path, mistake: Mistake) -> None:
    (folder / "mine.toml").write_text(rl_abn("recipes", "ppo_abn_paper").out, "utf-8")
    # A wrong device comes after the recipes have been read.
    said = mistake("train", "--env", "pong", "--agent", "mine.toml", "--device", "gpu")
    assert said == "expected auto, cpu, cuda or cuda:N, got 'gpu'"


def test_ctrl_c_exits_130_with_one_line(rl_abn: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rl_abn.cli.recipes.run", interrupt)
    assert rl_abn("recipes") == (130, "", "rl-abn: interrupted\n")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("200000", 200_000),
        ("1_000_000", 1_000_000),
        ("1e6", 1_000_000),
        ("2.5e3", 2_500),
        ("3.0", 3),
        ("9007199254740993", 2**53 + 1),  # no float holds it
    ],
)
def test_whole_numbers_may_be_written_as_people_do(text: str, number: int) -> None:
    value = whole_number(1)(text)
    assert value == number
    assert type(value) is int


def test_the_ends_of_a_range_belong_to_it() -> None:
    parse = whole_number(0, 2**31 - 1)
    assert (parse("0"), parse("2147483647")) == (0, 2147483647)
    with pytest.raises(
        argparse.ArgumentTypeError, match="from 0 to 2,147,483,647, got '2147483648'"
    ):
        parse("2147483648")


def test_choices_are_taken_as_they_are() -> None:
    parse = one_of(("fixed", "frame"))
    assert parse("frame") == "frame"
    with pytest.raises(argparse.ArgumentTypeError, match="did you mean 'frame'"):
        parse("Frame")


@pytest.fixture
def trained(run: Run) -> Run:
    """A run whose checkpoint holds somebody else's weights."""
    run.save_checkpoint(2048, {"weight": torch.zeros(3)}, {"rng.cpu": torch.zeros(1)}, {})
    return run


@pytest.mark.parametrize("command", ["eval", "watch"])
def test_a_checkpoint_that_is_not_there(mistake: Mistake, trained: Run, command: str) -> None:
    assert mistake(command, str(trained.path), "--checkpoint", "2000") == (
        f"{trained.path}: expected a checkpoint at step 2000, got none; the nearest is 2048"
    )


def test_weights_of_another_agent(mistake: Mistake, trained: Run) -> None:
    weights = trained.checkpoint().path / WEIGHTS
    said = mistake("eval", str(trained.path), "--episodes", "1", "--device", "cpu")
    assert said.startswith(f"{weights}: expected the agent's tensors, got a difference: ")


def test_a_strangers_pickle_is_not_run(mistake: Mistake, trained: Run, folder: Path) -> None:
    weights = trained.checkpoint().path / WEIGHTS
    # Protocol 0 of: os.mkdir("marker").
    weights.write_bytes(b"cos\nmkdir\n(S'marker'\ntR.")
    said = mistake("eval", str(trained.path), "--episodes", "1", "--device", "cpu")
    assert said.startswith(f"{weights}: expected a safetensors file, got ")
    assert not (folder / "marker").exists()


def test_maps_over_training_of_a_run_that_kept_none(mistake: Mistake, trained: Run) -> None:
    said = mistake("watch", str(trained.path), "--over-training")
    assert said.startswith(f"{trained.path}: expected kept probe positions, got none")


def test_help_does_not_wait_for_torch(folder: Path) -> None:
    code = (
        "import sys\n"
        "from rl_abn.cli import main\n"
        "try:\n"
        "    main(['train', '--help'])\n"
        "except SystemExit as exit_:\n"
        "    assert exit_.code == 0\n"
        "heavy = {'torch', 'gymnasium', 'stable_baselines3', 'numpy', 'pydantic'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
