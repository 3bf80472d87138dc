import re
import sys
from types import ModuleType, SimpleNamespace

SMALL = [
    *(
        "--env",
        "pong",
        "--agent",
        "ppo_abn_paper",
        "--steps",
        "32",
        "--out",
        "run",
        "--device",
        "cpu",
    ),
    *(
        word
        for setting in (
            "algorithm.n_envs=2",
            "algorithm.n_steps=8",
            "algorithm.batch_size=16",
            "train.n_probes=0",
            "train.eval_games=1",
            "protocol.legacy.max_frames=60",
        )
        for word in ("--set", setting)
    ),
]


def test_train_evaluates_and_eval_takes_the_best(rl_abn, monkeypatch):
    wandb, told = ModuleType("wandb"), []
    wandb.__spec__ = sys.__spec__
    wandb.init = lambda **options: (
        told.append(options) or SimpleNamespace(finish=lambda **end: told.append(end))
    )
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    result = rl_abn("train", *SMALL, "--eval-every", "16", "--wandb", "maps")
    assert result.code == 0, result.err
    found = re.search(r"^best evaluation: mean score \S+ at step (\d+) ", result.out, re.MULTILINE)
    assert found is not None
    assert told[0]["project"] == "maps"
    assert told[1:] == [{"exit_code": 0}]
    result = rl_abn("eval", "run", "--checkpoint", "best", "--episodes", "1")
    assert result.code == 0, result.err
    assert f"evaluations/step-{found[1]}-" in "".join(result.out.split())


def test_wandb_without_the_package_is_one_line_before_anything_is_made(mistake, folder):
    # A name that is None in sys.modules is a package that cannot be imported.
    sys.modules["wandb"] = None  # type: ignore[assignment]
    try:
        said = mistake("train", *SMALL, "--wandb", "maps")
    finally:
        del sys.modules["wandb"]
    assert said == "--wandb: expected the package 'wandb', got none; pip install 'rl-abn[wandb]'"
    assert list(folder.iterdir()) == []


def test_a_checkpoint_is_a_step_or_the_best(mistake):
    said = mistake("eval", "run", "--checkpoint", "bset")
    assert "expected a whole number from 0, or 'best', got 'bset'" in said
