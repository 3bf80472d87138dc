"""Which rows there are and how they are asked for."""

from __future__ import annotations

import pytest

from rl_abn.bench.contenders import GROUPS, Setting, all_contenders, ladder, select
from rl_abn.errors import RlAbnError
from rl_abn.recipes import list_recipes, make_run_recipe

ALL = all_contenders(Setting(cores=4, seconds=3, settings=("train.n_probes=2",)))
BY_NAME = {contender.name: contender for contender in ALL}


def names(*patterns):
    return [contender.name for contender in select(ALL, patterns)]


def test_names_are_unique_and_baselines_lie_in_the_same_group():
    assert len(BY_NAME) == len(ALL)
    assert {contender.group for contender in ALL} == GROUPS.keys()
    for contender in ALL:
        for baseline in contender.baselines:
            assert BY_NAME[baseline].group == contender.group
        assert BY_NAME[contender.baselines[0]].baselines == (contender.baselines[0],)


def recipe_of(row):
    spec = BY_NAME[row].spec
    return make_run_recipe(spec.env, spec.agent, 0, spec.settings)


@pytest.mark.more
def test_every_recipe_is_measured_as_a_user_types_it():
    for agent in list_recipes("agents"):
        recipe = recipe_of(agent)
        assert recipe.agent_name == agent
        assert recipe.agent == make_run_recipe("pong", agent, 0, ["train.n_probes=2"]).agent


def test_every_recipe_is_measured_in_fp32_too():
    for agent in set(list_recipes("agents")) - {"ppo_abn_fast"}:
        recipe = recipe_of(f"{agent}_fp32")
        assert recipe.agent_name == agent
        assert recipe.agent.train.precision == "fp32"
        assert recipe.agent.train.env_parts == "auto"
        assert recipe.agent.train.n_probes == 2


def test_variants_change_one_default_each():
    for agent in ("ppo_cnn", "ppo_abn", "a2c_cnn", "a2c_abn"):
        plain = recipe_of(agent).agent.train.model_dump()
        for variant, changed in (
            ("fp32", {"precision": "fp32"}),
            ("whole", {"env_parts": 1}),
            ("idle", {"emulator_priority": "idle"}),
        ):
            assert recipe_of(f"{agent}_{variant}").agent.train.model_dump() == plain | changed


def test_the_quick_rows_are_plain_recipes_beside_sb3():
    quick = [c for c in ALL if c.quick and c.group in ("ppo", "a2c")]
    for algorithm in ("ppo", "a2c"):
        assert [c.name for c in quick if c.group == algorithm] == [
            f"sb3_{algorithm}",
            f"sb3_{algorithm}_passive",
            f"{algorithm}_cnn",
            f"{algorithm}_abn",
        ]
    assert all(c.spec.settings == ("train.n_probes=2",) for c in quick if c.spec.kind == "ours")


def test_every_growing_row_is_a_valid_recipe_of_the_same_rollout():
    for contender in select(ALL, ["growth-envs", "growth-maps"]):
        spec = contender.spec
        if spec.kind == "ours":
            recipe = make_run_recipe(spec.env, spec.agent, 0, spec.settings)
            assert recipe.agent.algorithm.n_envs * recipe.agent.algorithm.n_steps == 1024


def test_sb3_runs_as_its_users_run_it_and_ours_as_the_command_line_does():
    assert BY_NAME["sb3_ppo"].spec.wait_policy == "default"
    assert BY_NAME["ppo_abn"].spec.wait_policy == "passive"


def test_everything_without_a_pattern():
    assert names() == list(BY_NAME)


def test_rows_groups_and_patterns():
    assert names("sb3_a2c") == ["sb3_a2c"]
    assert {BY_NAME[name].group for name in names("ppo")} == {"ppo"}
    assert {BY_NAME[name].group for name in names("growth")} == {
        "growth-envs",
        "growth-threads",
        "growth-maps",
    }
    assert names("growth-threads") == [f"ppo_abn_{n}_threads" for n in (1, 2, 4)]
    assert names("a2c_?bn_fp32") == ["a2c_abn_fp32"]


def test_rows_keep_their_order_whatever_order_they_are_asked_in():
    assert names("ppo_abn", "sb3_ppo") == ["sb3_ppo", "ppo_abn"]


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [("pop", "ppo"), ("sb3_a2", "sb3_a2c"), ("grwth", "growth"), ("emulators", "emulator")],
)
def test_an_unknown_row_gets_the_nearest(pattern, nearest):
    with pytest.raises(RlAbnError, match=f"'{pattern}': did you mean '{nearest}'") as error:
        select(ALL, ["ppo", pattern])
    assert "\n" not in str(error.value)


def test_a_ladder_doubles_and_ends_at_the_end():
    assert [ladder(1), ladder(2), ladder(6), ladder(8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]
    assert ladder(256, start=8) == [8, 16, 32, 64, 128, 256]
