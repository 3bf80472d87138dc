"""Each kind of wrong input: one line on stderr, exit code 2, and nothing on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rl_abn.runs import Run

Mistake = Callable[..., str]
TRAIN = ("train", "--env", "pong", "--agent", "ppo_abn_paper")


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(autouse=True)
def _nothing_is_created(folder: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test prepared is as it was when the command was run."""
    if "run" in request.fixturenames:
        request.getfixturevalue("run")
    before = tree(folder)
    yield
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trian",), "unknown command 'trian': did you mean 'train'?"),
        (("evaluate",), "unknown command 'evaluate': did you mean 'eval'?"),
        (("recipe", "agents"), "unknown command 'recipe': did you mean 'recipes'?"),
        (("Watch",), "unknown command 'Watch': did you mean 'watch'?"),
        (
            ("zzz",),
            "unknown command 'zzz': choose one of: "
            "bench, campaign, compare, eval, explain, export, import, recipes, record, sweep, "
            "train, view, vision, watch",
        ),
        ((), "the following arguments are required: COMMAND; see rl-abn --help"),
    ],
)
def test_commands(mistake: Mistake, words: tuple[str, ...], message: str) -> None:
    assert mistake(*words) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*TRAIN, "--stepz", "5"), "unknown option '--stepz': did you mean '--steps'?"),
        ((*TRAIN, "--stepz=5"), "unknown option '--stepz=5': did you mean '--steps'?"),
        ((*TRAIN, "--step", "5"), "unknown option '--step': did you mean '--steps'?"),
        ((*TRAIN, "--onexists", "new"), "unknown option '--onexists': did you mean '--on-exists'?"),
        ((*TRAIN, "--output", "x"), "unknown option '--output': did you mean '--out'?"),
        (("eval", "r", "--episode", "5"), "unknown option '--episode': did you mean '--episodes'?"),
        (("eval", "r", "--greddy"), "unknown option '--greddy': did you mean '--greedy'?"),
        (
            ("watch", "r", "--max-step", "5"),
            "unknown option '--max-step': did you mean '--max-steps'?",
        ),
        (
            ("watch", "r", "--overtraining"),
            "unknown option '--overtraining': did you mean '--over-training'?",
        ),
        (("recipes", "--hlp"), "unknown option '--hlp': did you mean '--help'?"),
        (("eval", "r", "s"), "expected no more arguments, got 's'"),
        (("recipes", "agents", "envs"), "expected no more arguments, got 'envs'"),
    ],
)
def test_options(mistake: Mistake, words: tuple[str, ...], message: str) -> None:
    assert mistake(*words) == message


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("train", "--evn", "pong", "--agent", "ppo_abn_paper"), "--env"),
        (("eval", "--epsiodes"), "--episodes"),
        (("--vesion",), "--version"),
    ],
)
def test_a_misspelt_option_is_named_before_what_is_missing(
    mistake: Mistake, words: tuple[str, ...], nearest: str
) -> None:
    assert f"did you mean '{nearest}'?" in mistake(*words)


@pytest.mark.parametrize(
    ("words", "option", "nearest"),
    [
        ((*TRAIN, "--on-exists", "resum"), "--on-exists", "resume"),
        ((*TRAIN, "--on-exists", "over-write"), "--on-exists", "overwrite"),
        (("eval", "r", "--protocol", "legcy"), "--protocol", "legacy"),
        (("eval", "r", "--protocol", "machado"), "--protocol", "machado2018"),
        (("eval", "r", "--protocol", "mask_a2c"), "--protocol", "mask_a3c"),
        (("watch", "r", "--scale", "fixd"), "--scale", "fixed"),
    ],
)
def test_choices(mistake: Mistake, words: tuple[str, ...], option: str, nearest: str) -> None:
    assert mistake(*words) == (
        f"argument {option}: unknown choice '{words[-1]}': did you mean '{nearest}'?; "
        f"see rl-abn {words[0]} --help"
    )


@pytest.mark.parametrize("number", ["0", "-5", "1.5", "nan", "inf", "1e400", "five", "", "1e-3"])
@pytest.mark.parametrize(
    "words",
    [
        (*TRAIN, "--steps"),
        ("eval", "r", "--episodes"),
        ("eval", "r", "--max-steps"),
        ("watch", "r", "--max-steps"),
    ],
    ids=["steps", "episodes", "eval-max-steps", "max-steps"],
)
def test_numbers_from_one(mistake: Mistake, words: tuple[str, ...], number: str) -> None:
    assert mistake(*words, number) == (
        f"argument {words[-1]}: expected a whole number from 1, got '{number}'; "
        f"see rl-abn {words[0]} --help"
    )


@pytest.mark.parametrize("number", ["-1", "2147483648", "0.5", "nan", "x"])
@pytest.mark.parametrize("words", [TRAIN, ("eval", "r"), ("watch", "r")], ids=lambda w: w[0])
def test_seeds(mistake: Mistake, words: tuple[str, ...], number: str) -> None:
    assert mistake(*words, "--seed", number) == (
        f"argument --seed: expected a whole number from 0 to 2,147,483,647, got '{number}'; "
        f"see rl-abn {words[0]} --help"
    )


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("train",), "--env, --agent"),
        (("train", "--env", "pong"), "--agent"),
        (("train", "--agent", "ppo_abn_paper"), "--env"),
        (("eval",), "RUN"),
        (("watch",), "RUN"),
    ],
)
def test_what_is_required(mistake: Mistake, words: tuple[str, ...], missing: str) -> None:
    assert mistake(*words) == (
        f"the following arguments are required: {missing}; see rl-abn {words[0]} --help"
    )


@pytest.mark.parametrize("option", ["--env", "--steps", "--set", "--device"])
def test_an_option_without_its_value(mistake: Mistake, option: str) -> None:
    assert mistake(*TRAIN, option) == (
        f"argument {option}: expected one argument; see rl-abn train --help"
    )


@pytest.mark.parametrize(
    ("env", "agent", "message"),
    [
        ("pongo", "ppo_abn_paper", "unknown env 'pongo': did you mean 'pong'?"),
        (
            "space-invaders",
            "ppo_abn_paper",
            "unknown env 'space-invaders': did you mean 'space_invaders'?",
        ),
        ("pong", "ppo_abm", "unknown agent 'ppo_abm': did you mean 'ppo_abn'?"),
        ("ppo_abn_paper", "pong", "unknown agent 'pong': "),
        ("pong", "./mine.toml", "expected a recipe file, got './mine.toml': there is no such file"),
        ("/", "ppo_abn_paper", "expected a recipe file, got '/': there is no such file"),
        ("", "ppo_abn_paper", "unknown env '': choose one of: beam_rider, breakout, "),
        ("x" * 300 + "-v0", "ppo_abn_paper", "unknown env 'xxx"),
    ],
)
def test_recipes_to_train(mistake: Mistake, env: str, agent: str, message: str) -> None:
    assert mistake("train", "--env", env, "--agent", agent).startswith(message)


@pytest.mark.parametrize(
    ("what", "nearest"),
    [("ppo_ab", "ppo_abn"), ("spaceinvaders", "space_invaders"), ("agent", "agents")],
)
def test_recipes_to_show(mistake: Mistake, what: str, nearest: str) -> None:
    assert mistake("recipes", what) == f"unknown recipe '{what}': did you mean '{nearest}'?"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("algorithm.gama=0.9", "unknown key 'algorithm.gama': did you mean 'algorithm.gamma'?"),
        ("train.stesp=5", "unknown key 'train.stesp': did you mean 'train.steps'?"),
        ("algorithm.gamma", "expected KEY=VALUE, such as algorithm.gamma=0.995"),
        ("algorithm.gamma=1.5", "algorithm.gamma: expected "),
        ("algorithm.gamma=one\ntwo", "algorithm.gamma: expected "),
        ("algorithm.name=sac", "algorithm.name: unknown name 'sac': did you mean 'a2c'?"),
        ("attention.mechanism=maks", "attention: unknown mechanism 'maks': did you mean 'mask'?"),
    ],
)
def test_settings(mistake: Mistake, setting: str, message: str) -> None:
    shown = " ".join(setting.split())
    said = mistake(*TRAIN, "--set", "algorithm.ent_coef=0.02", "--set", setting)
    assert f"--set {shown}: {message}" in said


@pytest.mark.parametrize("device", ["gpu", "cpux", "cuda:x", "", "cpu:-1", "meta", "cpu:7", "fpga"])
def test_devices(mistake: Mistake, device: str) -> None:
    assert mistake(*TRAIN, "--device", device) == (
        f"expected auto, cpu, cuda or cuda:N, got '{device}'"
    )


def test_a_gpu_where_there_is_none(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for device in ("cuda", "cuda:1"):
        assert mistake(*TRAIN, "--device", device) == (
            f"expected a device of this machine, got '{device}': no CUDA GPU visible"
        )


@pytest.mark.parametrize("command", ["eval", "watch"])
def test_a_run_folder_that_is_none(mistake: Mistake, tmp_path: Path, command: str) -> None:
    nearest = "train one with 'rl-abn train'"
    assert mistake(command, "missing") == (
        f"expected a run folder, got 'missing' (no such folder); {nearest}"
    )
    assert mistake(command, str(tmp_path)) == (
        f"expected a run folder, got '{tmp_path}' (a folder without recipe.toml); {nearest}"
    )
    assert mistake(command, __file__).startswith(f"expected a run folder, got '{__file__}' (")


@pytest.mark.usefixtures("run")
def test_a_run_folder_with_a_typo(mistake: Mistake) -> None:
    assert mistake("eval", "runs/pong/ppo_abm/seed-0") == (
        "expected a run folder, got 'runs/pong/ppo_abm/seed-0' (no such folder); "
        "did you mean 'runs/pong/ppo_abn_paper/seed-0'?"
    )


@pytest.mark.parametrize("words", [("eval",), ("watch",), ("eval", "--checkpoint", "5")])
def test_a_run_without_a_checkpoint(mistake: Mistake, run: Run, words: tuple[str, ...]) -> None:
    assert mistake(*words, str(run.path)) == f"{run.path}: expected a checkpoint, got none yet"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("zro",), "unknown intervention 'zro': did you mean 'zero'?"),
        (("zero", "Frozen"), "unknown intervention 'Frozen': did you mean 'frozen'?"),
        (
            ("",),
            "unknown intervention '': "
            "choose one of: all, frozen, inverted, shifted, shuffled, swap, time_average, uniform, "
            "zero",
        ),
        (
            ("zero:shard",),
            "unknown map 'shard' in intervention 'zero:shard': did you mean 'shared'?",
        ),
        (
            ("all:policy",),
            "unknown map 'policy' in intervention 'all:policy': choose one of: each, shared",
        ),
        (("zero:",), "unknown map '' in intervention 'zero:': choose one of: each, shared"),
    ],
)
def test_interventions(mistake: Mistake, run: Run, words: tuple[str, ...], message: str) -> None:
    assert mistake("eval", str(run.path), "--intervention", *words) == message


@pytest.mark.parametrize("words", [(), ("--steps", "9"), ("--set", "algorithm.gamma=0.5")])
def test_a_run_folder_that_exists_is_left_alone(
    mistake: Mistake, run: Run, words: tuple[str, ...]
) -> None:
    assert mistake(*TRAIN, *words) == (
        f"expected a new run folder, got '{run.path}', which exists; "
        "add --on-exists resume, new or overwrite"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("train", "--env", "breakout", "--agent", "ppo_abn_paper"),
            "expected to resume env 'pong', got 'breakout'; use --on-exists new",
        ),
        (
            ("train", "--env", "pong", "--agent", "ppo_cnn"),
            "expected to resume agent 'ppo_abn_paper', got 'ppo_cnn'; use --on-exists new",
        ),
        ((*TRAIN, "--seed", "1"), "expected to resume seed '0', got '1'; use --on-exists new"),
        (
            (*TRAIN, "--set", "algorithm.gamma=0.5"),
            "expected the run's own settings to resume it, got others (algorithm.gamma=0.5); "
            "only train.steps, train.keep, train.checkpoint_every_minutes, train.eval_every, "
            "train.eval_games and train.record_every may change, or use --on-exists new",
        ),
    ],
)
def test_another_run_is_not_resumed(
    mistake: Mistake, run: Run, words: tuple[str, ...], message: str
) -> None:
    said = mistake(*words, "--out", str(run.path), "--on-exists", "resume")
    assert said == f"{run.path}: {message}"


@pytest.mark.parametrize("what", ["overwrite", "resume"])
def test_a_folder_that_is_no_run_is_never_overwritten(
    mistake: Mistake, tmp_path: Path, what: str
) -> None:
    precious = tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    (precious / "deep" / "thesis.txt").write_text("years of work")
    assert mistake(*TRAIN, "--out", str(precious), "--on-exists", what) == (
        f"expected a run folder, got '{precious}' (a folder without recipe.toml); "
        "train one with 'rl-abn train'"
    )
    assert tree(precious) == {"deep": None, "deep/thesis.txt": b"years of work"}


def test_a_file_is_never_overwritten(mistake: Mistake, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    for words in ((), ("--on-exists", "overwrite"), ("--on-exists", "resume")):
        assert f"'{file}'" in mistake(*TRAIN, "--out", str(file), *words)
        assert file.read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [("eval", "r"), ("vision", "eval", "r"), ("vision", "drive", "r"), ("bench",)],
    ids=" ".join,
)
def test_a_file_that_cannot_be_written_comes_before_any_work(
    mistake: Mistake, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "a.json"
    for file, why in ((tmp_path, "Is a directory"), (inside, "Not a directory")):
        assert mistake(*words, "--json", str(file)) == f"{file}: cannot be written: {why}"


def test_a_place_that_cannot_be_written(mistake: Mistake, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "run"
    assert mistake(*TRAIN, "--out", str(out)) == f"{out}: cannot be written: Not a directory"


def test_a_mistake_comes_before_the_old_run_is_removed(mistake: Mistake, run: Run) -> None:
    for wrong in (("--set", "algorithm.gamma=2"), ("--device", "gpu"), ("--steps", "0")):
        mistake(*TRAIN, "--on-exists", "overwrite", *wrong)
        assert Run.open(run.path).recipe == run.recipe


def test_a_game_ale_py_does_not_have(mistake: Mistake, folder: Path) -> None:
    assert "'bogus'" in mistake(*TRAIN, "--set", "game.rom=bogus")
    assert tree(folder) == {}


def test_a_name_longer_than_names_can_be(mistake: Mistake) -> None:
    assert mistake("eval", "x" * 5_000).startswith("expected a run folder")


def test_from_outside(folder: Path) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "rl_abn", "evl", "missing"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "rl-abn: error: unknown command 'evl': did you mean 'eval'?\n"
    assert "Traceback" not in result.stderr
