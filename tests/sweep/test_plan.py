"""What a sweep's file comes to: units named by their content."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.recipes import make_run_recipe
from rl_abn.recipes.lookup import recipe_path
from rl_abn.sweep.plan import digest_of, find_plan, make_plan


def digest(*settings, agent="ppo_abn_paper", env="pong", seed=0):
    return digest_of(make_run_recipe(env, agent, seed, settings))


def test_the_name_is_of_what_the_result_depends_on():
    assert re.fullmatch("[0-9a-f]{8}", digest())
    assert digest(seed=5) == digest()
    assert digest("algorithm.gamma=0.99") == digest()  # as the recipe has it
    for change in ("algorithm.gamma=0.98", "train.steps=4096", "protocol.legacy.max_frames=400"):
        assert digest(change) != digest()
    assert digest(env="breakout") != digest()
    # What may be another when a run goes on.
    assert (
        digest("train.keep=3", "train.checkpoint_every_minutes=0", "train.eval_every=8") == digest()
    )


def test_units_are_the_product_every_seed_of_all_before_the_next(sweep_file):
    file = sweep_file(
        "[arms]\nplain = []\n"
        'wide = { set = ["algorithm.ent_coef=0.02"], agents = ["ppo_abn_paper"] }',
        games=["pong", "breakout"],
        agents=["ppo_abn_paper", "ppo_cnn"],
        seeds=[4, 0],
    )
    plan = make_plan(file)
    named = [(u.seed, u.env_name, u.label) for u in plan.units]
    each = ["ppo_abn_paper-plain", "ppo_abn_paper-wide", "ppo_cnn-plain"]
    assert named == [
        (seed, game, label) for seed in (4, 0) for game in ("pong", "breakout") for label in each
    ]
    assert len({u.name for u in plan.units}) == 12
    first, wide = plan.units[:2]
    assert first.name == f"pong/ppo_abn_paper-plain-{first.digest}/seed-4"
    assert wide.recipe().agent.algorithm.ent_coef == 0.02
    assert wide.steps == 64
    assert plan.out == Path("sweeps/few")


def test_without_arms_an_agent_is_called_by_its_name(sweep_file):
    (unit,) = make_plan(sweep_file(seeds=[0])).units
    assert unit.name == f"pong/ppo_cnn-{unit.digest}/seed-0"


def test_a_plan_is_read_from_its_folder(sweep_file, tmp_path):
    more = '[arms]\na = []\n[eval]\nepisodes = 2\n[slurm.options]\naccount = "lab"'
    plan = make_plan(sweep_file(more), tmp_path / "out")
    plan.write()
    again = find_plan(tmp_path / "out")
    assert again == plan
    assert again.units[0].eval.episodes == 2


def test_a_recipe_is_found_beside_the_file_and_may_not_change(sweep_file, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(recipe_path("agents", "ppo_cnn").read_text())
    plan = make_plan(sweep_file(agents=["mine.toml"], seeds=[0]))
    (unit,) = plan.units
    assert unit.agent == str(mine)
    assert unit.recipe().agent_name == "mine"
    mine.write_text(mine.read_text().replace("gamma = 0.99", "gamma = 0.9"))
    with pytest.raises(RlAbnError, match=r"expected the recipes this sweep was planned with"):
        unit.recipe()


@pytest.mark.parametrize(
    ("keys", "more", "message"),
    [
        ({"game": ["pong"]}, "", "unknown key 'game': did you mean 'games'?"),
        ({}, "[machine]\nworker = 1", "unknown key 'machine.worker': did you mean 'workers'?"),
        ({}, "[arms]\na = { sets = [] }", "unknown key 'arms.a.sets': did you mean 'set'?"),
        ({"agents": ["ppo_abm"]}, "", "unknown agent 'ppo_abm': did you mean 'ppo_abn'?"),
        ({"games": ["pongg"]}, "", "unknown env 'pongg': did you mean 'pong'?"),
        ({"games": []}, "", "games: expected one name or more, got none"),
        ({"agents": ["ppo_abn_paper", "ppo_abn_paper"]}, "", "agents: expected different names"),
        ({}, "[arms]", "arms: expected one arm or more, got none: leave [arms] out"),
        ({}, '[arms]\n"a/b" = []', "arms: expected names of letters, digits"),
        ({}, '[arms]\na = { agents = ["x"] }', "arms.a.agents: expected some of the sweep's"),
        (
            {},
            "[arms]\na = []\nb = []",
            "expected arms that differ, got 'ppo_cnn-a' and 'ppo_cnn-b'",
        ),
        (
            {},
            '[arms]\na = ["algorithm.gama=0.9"]',
            "ppo_cnn, arm 'a' on pong: --set algorithm.gama=0.9: unknown key 'algorithm.gama': "
            "did you mean 'algorithm.gamma'?",
        ),
        ({"games": ["pong", "ALE/Pong-v5"]}, "", "expected different games and agents"),
        ({"seeds": 0}, "", "seeds: expected a number of seeds from 1 to 1000, or a list"),
        ({"seeds": [1, 1]}, "", "seeds: expected a number of seeds from 1 to 1000, or a list"),
        ({"seeds": [-1]}, "", "seeds: expected a number of seeds from 1 to 1000, or a list"),
        ({}, '[eval]\ninterventions = ["zero"]', "expected an agent with attention maps for eval"),
        (
            {"agents": ["ppo_abn_paper"]},
            '[eval]\ninterventions = ["zerro"]',
            "unknown intervention 'zerro': did you mean 'zero'?",
        ),
        ({}, '[eval]\nepisodes = 1\nblind = "swapped"', "eval: expected 2 episodes or more"),
    ],
)
def test_a_mistake_is_one_line(sweep_file, keys, more, message):
    with pytest.raises(RlAbnError) as raised:
        make_plan(sweep_file(more, **keys))
    said = str(raised.value)
    assert message in said
    assert said.count("\n") == 0
    assert "few.toml" in said


def test_the_documentations_sweep_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text("utf-8")
    blocks = re.findall(r"```toml\n(.*?)\n```", page, re.S)
    file = tmp_path / "maps.toml"
    file.write_text("\n".join(blocks))
    plan = make_plan(file)
    assert len(plan.units) == 2 * 3 * 3  # games x (ppo_abn_paper twice, ppo_cnn once) x seeds
    assert plan.recipe.slurm.options == {"account": "lab"}
    assert plan.recipe.ray.gpus == 0.25
    assert plan.recipe.machine.workers == 8
