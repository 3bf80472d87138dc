"""`--set`: single fields of a resolved recipe change, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rl_abn.recipes import (
    LinearSchedule,
    RunRecipe,
    load_agent,
    load_env,
    make_run_recipe,
    override,
)

Complaint = Callable[[Callable[[], object]], str]


def resolve(*settings: str, agent: str = "ppo_abn_paper") -> RunRecipe:
    return make_run_recipe("space_invaders", agent, 0, settings)


def changes(before: Any, after: Any, prefix: str = "") -> dict[str, Any]:
    """What differs between two plain recipes, by dotted name."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return {} if before == after else {prefix: after}
    found: dict[str, Any] = {}
    for key in before.keys() | after.keys():
        name = f"{prefix}.{key}" if prefix else key
        found |= changes(before.get(key), after.get(key), name)
    return found


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("algorithm.gamma=0.995", "agent.algorithm.gamma", 0.995),
        (" algorithm.gamma = 0.995 ", "agent.algorithm.gamma", 0.995),
        ("algorithm.gamma=1", "agent.algorithm.gamma", 1.0),
        ("algorithm.n_envs=16", "agent.algorithm.n_envs", 16),
        ("algorithm.target_kl=0.02", "agent.algorithm.target_kl", 0.02),
        ("algorithm.adam_eps=1e-8", "agent.algorithm.adam_eps", 1e-8),
        ("algorithm.clip_reward=false", "agent.algorithm.clip_reward", "none"),
        ("algorithm.branch_loss=distillation", "agent.algorithm.branch_loss", "distillation"),
        ('algorithm.branch_loss="none"', "agent.algorithm.branch_loss", "none"),
        ("algorithm.learning_rate.end=1e-5", "agent.algorithm.learning_rate.end", 1e-5),
        ("algorithm.clip_range.start=0.2", "agent.algorithm.clip_range.start", 0.2),
        ("network.attention_at=7", "agent.network.attention_at", 7),
        ("attention.mechanism=mask", "agent.attention.mechanism", "mask"),
        ("attention.maps=split", "agent.attention.maps", "split"),
        ("train.steps=1_000_000", "agent.train.steps", 1_000_000),
        ("train.precision=bf16", "agent.train.precision", "bf16"),
        ("train.protocol=machado2018", "agent.train.protocol", "machado2018"),
        ("protocol.legacy.noop_max=0", "env.protocol.legacy.noop_max", 0),
        ("protocol.machado2018.noop_max=30", "env.protocol.machado2018.noop_max", 30),
        ("protocol.mask_a3c.crop.rows=[34, 194]", "env.protocol.mask_a3c.crop.rows", (34, 194)),
        ("train.protocol=mask_a3c", "agent.train.protocol", "mask_a3c"),
        ("game.title=Space = Invaders", "env.game.title", "Space = Invaders"),
        ("scores.human=-1.5", "env.scores.human", -1.5),
        ("objects.aliens.rows=[31, 142]", "env.objects.aliens.rows", (31, 142)),
        (
            "objects.ground={colours=[[80, 89, 22]]}",
            "env.objects.ground",
            {"colours": ((80, 89, 22),), "rows": None, "columns": None},
        ),
    ],
)
def test_one_setting_changes_one_field(setting: str, field: str, value: Any) -> None:
    changed = changes(resolve().model_dump(), resolve(setting).model_dump())
    assert changed == {field: value}
    assert type(changed[field]) is type(value)


def test_no_settings_change_nothing() -> None:
    agent, env = load_agent("ppo_abn_paper"), load_env("pong")
    assert override(agent, env, []) == (agent, env)


def test_the_recipes_given_stay_as_they_were() -> None:
    agent, env = load_agent("ppo_abn_paper"), load_env("pong")
    override(agent, env, ["algorithm.gamma=0.5", "protocol.legacy.noop_max=0"])
    assert (agent, env) == (load_agent("ppo_abn_paper"), load_env("pong"))


def test_a_number_replaces_a_schedule() -> None:
    algorithm = resolve("algorithm.learning_rate=1e-3", "algorithm.clip_range=0.2").agent.algorithm
    assert algorithm.learning_rate == 0.001
    assert algorithm.clip_range == 0.2  # type: ignore[union-attr]


@pytest.mark.parametrize("agent", ["ppo_abn_paper", "a2c_abn"])
def test_a_schedule_replaces_a_schedule_or_a_number(agent: str) -> None:
    setting = "algorithm.learning_rate={ start = 1e-3, end = 1e-4 }"
    algorithm = resolve(setting, agent=agent).agent.algorithm
    assert algorithm.learning_rate == LinearSchedule(start=1e-3, end=1e-4)


def test_a_schedule_may_leave_out_what_has_a_default() -> None:
    algorithm = resolve("algorithm.learning_rate={start = 0.5}").agent.algorithm
    assert algorithm.learning_rate == LinearSchedule(start=0.5, end=0.0)


def test_there_and_back_again() -> None:
    settings = [
        "algorithm.learning_rate=0.1",
        'algorithm.learning_rate={kind = "linear", start = 2.5e-4, end = 0.0}',
    ]
    assert resolve(*settings) == resolve()


def test_settings_apply_in_their_order() -> None:
    recipe = resolve(
        "algorithm.gamma=0.9",
        "protocol.legacy.noop_max=10",
        "algorithm.n_envs=16",
        "algorithm.batch_size=512",
        "algorithm.gamma=0.8",
    )
    assert changes(resolve().model_dump(), recipe.model_dump()) == {
        "agent.algorithm.gamma": 0.8,
        "agent.algorithm.n_envs": 16,
        "agent.algorithm.batch_size": 512,
        "env.protocol.legacy.noop_max": 10,
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["network.extractor=impala", "network.attention_at=21"],
            {"agent.network.extractor": "impala", "agent.network.attention_at": 21},
        ),
        (
            ["network.attention_at=11", "network.extractor=impala"],
            {"agent.network.extractor": "impala", "agent.network.attention_at": 11},
        ),
        (
            ["algorithm.n_steps=100", "algorithm.batch_size=200"],
            {"agent.algorithm.n_steps": 100, "agent.algorithm.batch_size": 200},
        ),
        (
            ["attention.mechanism=none", "algorithm.branch_loss=none"],
            {"agent.attention.mechanism": "none", "agent.algorithm.branch_loss": "none"},
        ),
    ],
)
def test_settings_that_are_right_only_together(
    settings: list[str], expected: dict[str, Any]
) -> None:
    assert changes(resolve().model_dump(), resolve(*settings).model_dump()) == expected


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [
        ("algorithm.gama=0.9", "algorithm.gamma"),
        ("algorthm.gamma=0.9", "algorithm.gamma"),
        ("algorithm..gamma=0.9", "algorithm.gamma"),
        ("agent.algorithm.gamma=0.9", "algorithm.gamma"),
        ("algorithm.learning_rate.strat=1", "algorithm.learning_rate.start"),
        ("algorithm.clip_range.ende=1", "algorithm.clip_range.end"),
        ("algorithm.learningrate.start=1", "algorithm.learning_rate.start"),
        ("algorithm.gamma.start=1", "algorithm.gamma"),
        ("network.extractr=nature", "network.extractor"),
        ("atention.mechanism=mask", "attention.mechanism"),
        ("train.step=5", "train.steps"),
        ("steps=5", "train.steps"),
        ("protocol.legacy.noopmax=5", "protocol.legacy.noop_max"),
        ("protocol.legcy.noop_max=5", "protocol.legacy.noop_max"),
        ("legacy.noop_max=5", "protocol.legacy.noop_max"),
        ("protocol.machado.noop_max=5", "protocol.machado2018.noop_max"),
        ("objects.alien.rows=[1, 2]", "objects.aliens.rows"),
        ("scores.humans=3", "scores.human"),
    ],
)
def test_an_unknown_key_gets_the_nearest_dotted_one(
    complaint: Complaint, setting: str, nearest: str
) -> None:
    key = setting.partition("=")[0]
    assert complaint(lambda: resolve(setting)) == (
        f"--set {setting}: unknown key '{key}': did you mean '{nearest}'?"
    )


def test_a_field_without_its_table(complaint: Complaint) -> None:
    assert "did you mean 'algorithm.gamma'?" in complaint(lambda: resolve("gamma=0.9"))


def test_a_key_that_is_no_table_is_known() -> None:
    assert resolve("kind=atari") == resolve()


def test_another_algorithms_key_is_unknown(complaint: Complaint) -> None:
    assert complaint(lambda: resolve("algorithm.batch_size=80", agent="a2c_abn")).startswith(
        "--set algorithm.batch_size=80: unknown key 'algorithm.batch_size': "
    )


@pytest.mark.parametrize("setting", ["algorithm.gamma", "algorithm.gamma:0.9", "0.9", ""])
def test_a_setting_without_an_equals_sign(complaint: Complaint, setting: str) -> None:
    assert complaint(lambda: resolve(setting)) == (
        f"--set {setting}: expected KEY=VALUE, such as algorithm.gamma=0.995"
    )


@pytest.mark.parametrize(
    ("setting", "key", "got"),
    [
        ("algorithm.gamma=high", "algorithm.gamma", "'high'"),
        ("algorithm.gamma=", "algorithm.gamma", "''"),
        ("algorithm.gamma=0.9 0.8", "algorithm.gamma", "'0.9 0.8'"),
        ("algorithm.gamma=0.9=0.8", "algorithm.gamma", "'0.9=0.8'"),
        ("algorithm.gamma=1.5", "algorithm.gamma", "1.5"),
        ("algorithm.gamma=nan", "algorithm.gamma", "nan"),
        ("algorithm.gamma=[0.9]", "algorithm.gamma", "[0.9]"),
        ("algorithm.n_envs=0", "algorithm.n_envs", "0"),
        ("algorithm.n_envs=8.5", "algorithm.n_envs", "8.5"),
        ("algorithm.learning_rate=-1", "algorithm.learning_rate", "-1"),
        ("train.steps=0", "train.steps", "0"),
        ("train.precision=fp16", "train.precision", "'fp16'"),
        ("protocol.legacy.noop_max=-1", "protocol.legacy.noop_max", "-1"),
        ("protocol.legacy.fire_reset=maybe", "protocol.legacy.fire_reset", "'maybe'"),
        ("protocol.legacy=3", "protocol.legacy", "3"),
        ("objects.ground=3", "objects.ground", "3"),
    ],
)
def test_an_impossible_value(complaint: Complaint, setting: str, key: str, got: str) -> None:
    message = complaint(lambda: resolve(setting))
    assert message.startswith(f"--set {setting}: {key}: expected ")
    assert message.endswith(f", got {got}")


@pytest.mark.parametrize(
    ("setting", "ending"),
    [
        ("algorithm.name=sac", "algorithm.name: unknown name 'sac': did you mean 'a2c'?"),
        ("network.extractor=natur", "network: unknown extractor 'natur': did you mean 'nature'?"),
        ("attention.mechanism=msk", "attention: unknown mechanism 'msk': did you mean 'mask'?"),
        (
            "algorithm.batch_size=300",
            "algorithm: expected a batch_size that divides n_envs * n_steps = 1024, got 300; "
            "the nearest below is 256",
        ),
        (
            "network.attention_at=8",
            "network: expected attention_at of 9 or 7 for nature, got 8; the nearest is 9",
        ),
        (
            "algorithm.clip_range={start = 1, ende = 2}",
            "unknown key 'algorithm.clip_range.ende': did you mean 'end'?",
        ),
        ("objects.aliens={}", "expected a key 'objects.aliens.colours', got none"),
    ],
)
def test_the_mistake_is_named(complaint: Complaint, setting: str, ending: str) -> None:
    assert complaint(lambda: resolve(setting)) == f"--set {setting}: {ending}"


def test_the_field_that_is_wrong_is_the_one_named(complaint: Complaint) -> None:
    settings = ["algorithm.gamma=0.9", "algorithm.ent_coef=-1", "train.steps=5"]
    message = complaint(lambda: resolve(*settings))
    assert "--set algorithm.ent_coef=-1" in message
    assert ": algorithm.ent_coef: expected " in message
    assert message.endswith(", got -1")


def test_a_wrong_setting_of_the_game_does_not_blame_those_of_the_agent(
    complaint: Complaint,
) -> None:
    message = complaint(lambda: resolve("algorithm.gamma=0.9", "protocol.legacy.frame_skip=0"))
    assert message.startswith("--set protocol.legacy.frame_skip=0: protocol.legacy.frame_skip: ")


@pytest.mark.parametrize("setting", ["=3", "zzz=3", "ALGORITHM.GAMMA=0.9"])
def test_a_key_like_no_other_gets_a_line_that_can_be_read(
    complaint: Complaint, setting: str
) -> None:
    assert len(complaint(lambda: resolve(setting))) < 300
