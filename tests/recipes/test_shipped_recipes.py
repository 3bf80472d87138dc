"""The recipes that ship: they load, and say what was published."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rl_abn.networks import NETWORKS
from rl_abn.protocols import PROTOCOLS
from rl_abn.recipes import (
    A2C,
    PPO,
    LinearSchedule,
    RunRecipe,
    list_recipes,
    load_agent,
    load_env,
    load_run,
    make_run_recipe,
    recipe_path,
    recipe_summary,
)
from rl_abn.runs import write_recipe
from tests.covering import covering

AGENTS, ENVS = list_recipes("agents"), list_recipes("envs")

# Random and human play: dqn_zoo, atari_data.py.
SCORES = {
    "space_invaders": (148.0, 1668.7),
    "ms_pacman": (307.3, 6951.6),
    "breakout": (1.7, 30.5),
    "pong": (-20.7, 14.6),
    "seaquest": (68.4, 42054.7),
    "beam_rider": (363.9, 16926.5),
    "qbert": (163.9, 13455.0),
}


CROPS = {"ms_pacman": ((2, 170), 84), "space_invaders": ((8, 196), 94)}


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def changes(one: str, other: str) -> set[str]:
    """Returns which fields differ, and which only one of the two has."""
    first, second = (flat(load_agent(name).model_dump()) for name in (one, other))
    return {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}


def differences(one: str, other: str) -> set[str]:
    first, second = (flat(load_agent(name).model_dump()) for name in (one, other))
    assert first.keys() == second.keys()
    return {key for key in first if first[key] != second[key]}


# What the second word of an agent's name says: mechanism, maps, and the branch's loss. A form that
# moved on has its own line.
FORMS = {
    "abn": ("residual", "shared", "actor_critic"),
    "mask": ("mask", "split", "none"),
    "cnn": ("none", "shared", "none"),
    "se": ("se", "shared", "none"),
    "eca": ("eca", "shared", "none"),
    "cbam": ("cbam", "shared", "none"),
    "ram": ("residual_module", "shared", "none"),
    "highway": ("highway", "shared", "none"),
    "hourglass": ("hourglass", "shared", "none"),
    "nonlocal": ("non_local", "shared", "none"),
    "aaconv": ("augmented_convolution", "shared", "none"),
    "transformer": ("transformer", "shared", "none"),
    "imagetransformer": ("image_transformer", "shared", "none"),
    "causal": ("causal", "shared", "none"),
    "overtime": ("over_time", "shared", "none"),
    "memn2n": ("memory_network", "shared", "none"),
    "kvmemory": ("key_value_memory", "shared", "none"),
    "soft": ("soft", "shared", "none"),
    "hard": ("hard", "shared", "none"),
}
OTHERWISE = ("abn", "mask", "soft", "hard")  # forms that PPO teaches in a way of their own
MOVING = dict.fromkeys(("ppo_abn", "ppo_abn_fast"), ("mask", "split", "distillation"))


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_every_form_ships_for_both_algorithms(algorithm: str) -> None:
    with_memory = [f"{form}_convlstm" for form in ("abn", "mask", "cnn")]
    assert {f"{algorithm}_{form}" for form in (*FORMS, *with_memory)} <= set(AGENTS)


def test_every_game_has_published_scores() -> None:
    assert sorted(SCORES) == ENVS


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_what_its_name_says(name: str) -> None:
    algorithm, form = name.removesuffix("_split").split("_")[:2]
    recipe = load_agent(name)
    assert isinstance(recipe.algorithm, {"ppo": PPO, "a2c": A2C}[algorithm])
    attention = (recipe.attention.mechanism, recipe.attention.maps, recipe.algorithm.branch_loss)
    mechanism, maps, branch_loss = FORMS[form]
    maps = "split" if name.endswith("_split") else maps
    assert attention == MOVING.get(name, (mechanism, maps, branch_loss))
    assert recipe.network.attention_at in NETWORKS[recipe.network.extractor].attention_at


@pytest.mark.parametrize("name", ["ppo_abn_paper", "ppo_cnn_zoo"])
def test_ppo_has_the_published_hyperparameters(name: str) -> None:
    recipe = load_agent(name)
    assert recipe.algorithm.model_dump(exclude={"branch_loss"}) == {
        "name": "ppo",
        "n_envs": 8,
        "n_steps": 128,
        "batch_size": 8 * 128 // 4,  # four minibatches
        "sequence_length": 1,
        "n_epochs": 4,
        "learning_rate": {"kind": "linear", "start": 2.5e-4, "end": 0.0},
        "clip_range": {"kind": "linear", "start": 0.1, "end": 0.0},
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "ent_coef": 0.01,
        "vf_coef": 0.5,
        "max_grad_norm": 0.5,
        "adam_eps": 1e-5,
        "normalize_advantage": True,
        "clip_reward": "sign",
        "target_kl": 0.0,
        "branch_coef": 1.0,
        "branch_max_grad_norm": 0.0,
        "map_area_coef": 0.0,
        "map_entropy_coef": 0.0,
        "map_information_coef": 0.0,
        "map_learning_rate_factor": 1.0,
        "glimpse_coef": 1.0,
        "glimpse_ent_coef": 0.01,
    }
    assert recipe.train.steps == 10_000_000


# What agents learn by whose maps move, beside the published hyperparameters.
FASTER = {"algorithm.learning_rate.start", "algorithm.clip_range.start", "algorithm.clip_reward"}
MAPS = {
    "algorithm.map_information_coef",
    "attention.map_form",
    "attention.map_gain",
    "attention.map_bias",
    "attention.map_layers",
    "attention.unit_mean",
}


def test_the_fair_baseline_learns_as_the_agents_whose_maps_move() -> None:
    assert differences("ppo_cnn_zoo", "ppo_cnn") == FASTER
    assert differences("ppo_cnn", "ppo_cnn_split") == {"attention.maps", "network.attention_at"}
    assert changes("ppo_cnn_split", "ppo_mask") == MAPS | {"attention.mechanism"}
    assert changes("ppo_mask", "ppo_abn") == {
        "algorithm.branch_loss",
        "algorithm.branch_max_grad_norm",
        "attention.map_input",
        "attention.pooling",
        "attention.trunk_gradient",
    }


@pytest.mark.parametrize("form", [form for form in FORMS if form not in OTHERWISE])
def test_one_mechanism_and_another_are_taught_alike(form: str) -> None:
    allowed = ("attention.", "network.attention_at", "algorithm.sequence_length")
    assert all(key.startswith(allowed) for key in changes("ppo_cnn", f"ppo_{form}"))


def test_the_fast_form_learns_from_as_many_updates_a_step_in_the_same_minibatches() -> None:
    assert differences("ppo_abn", "ppo_abn_fast") == {
        "algorithm.n_envs",
        "algorithm.n_steps",
        "train.graphs",
    }


@pytest.mark.parametrize("name", [name for name in AGENTS if name.endswith("_convlstm")])
def test_a_recipe_with_memory_differs_in_that_alone(name: str) -> None:
    learning = {"algorithm.sequence_length"} if name.startswith("ppo") else set()
    published = {"ppo_abn_convlstm": "ppo_abn_paper", "ppo_cnn_convlstm": "ppo_cnn_zoo"}
    without = published.get(name, name.removesuffix("_convlstm"))
    moved_on = MAPS | FASTER if name == "ppo_mask_convlstm" else set()
    assert changes(without, name) == {"network.memory"} | learning | moved_on
    assert load_agent(name).network.memory == "convlstm"


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_agents_whose_lstm_asks_differ_in_how_they_look(algorithm: str) -> None:
    assert differences(f"{algorithm}_soft", f"{algorithm}_hard") == {"attention.mechanism"}
    assert differences(f"{algorithm}_mask_convlstm", f"{algorithm}_soft") == {
        "attention.mechanism",
        "attention.maps",
        "network.memory",
    }


def test_the_agent_of_mask_a3c_differs_from_our_form_of_it_as_published() -> None:
    assert differences("a2c_mask_convlstm", "a2c_mask_a3c") == {
        "algorithm.n_steps",
        "network.extractor",
        "network.attention_at",
        "network.forget_at",
        "train.protocol",
    }
    recipe = load_agent("a2c_mask_a3c")
    assert recipe.algorithm.n_steps == 20
    assert recipe.network.model_dump(exclude={"memory_size"}) == {
        "extractor": "mask_a3c",
        "attention_at": 10,
        "layer_norm": False,
        "memory": "convlstm",
        "forget_at": "life",
    }
    assert recipe.train.protocol == "mask_a3c"


@pytest.mark.parametrize(
    "name", [name for name in AGENTS if name.startswith("a2c") and name != "a2c_mask_a3c"]
)
def test_a2c_has_the_published_hyperparameters(name: str) -> None:
    assert load_agent(name).algorithm.model_dump(exclude={"branch_loss"}) == {
        "name": "a2c",
        "n_envs": 16,
        "n_steps": 5,
        "learning_rate": 7e-4,
        "gamma": 0.99,
        "gae_lambda": 1.0,
        "ent_coef": 0.01,
        "vf_coef": 0.25,
        "max_grad_norm": 0.5,
        "rms_prop_eps": 1e-5,
        "normalize_advantage": False,
        "clip_reward": "sign",
        "branch_coef": 1.0,
        "branch_max_grad_norm": 0.0,
        "map_area_coef": 0.0,
        "map_entropy_coef": 0.0,
        "map_information_coef": 0.0,
        "map_learning_rate_factor": 1.0,
        "glimpse_coef": 1.0,
        "glimpse_ent_coef": 0.01,
    }


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_baselines_differ_in_attention_and_branch_alone(algorithm: str) -> None:
    cnn = {"ppo": "ppo_cnn_zoo", "a2c": "a2c_cnn"}[algorithm]
    abn = {"ppo": "ppo_abn_paper", "a2c": "a2c_abn"}[algorithm]
    mask = {"ppo": "ppo_mask_convlstm", "a2c": "a2c_mask_convlstm"}[algorithm]
    assert differences(cnn, abn) == {"attention.mechanism", "algorithm.branch_loss"}
    cnn = f"{algorithm}_cnn_convlstm"
    assert differences(cnn, mask) == {
        "attention.mechanism",
        "attention.maps",
        "network.attention_at",
    }


def test_the_fair_baseline_of_a_mask_differs_in_the_mask_alone() -> None:
    assert differences("a2c_cnn_split", "a2c_mask") == {"attention.mechanism"}


@pytest.mark.parametrize(
    ("of_ppo", "of_a2c"),
    [
        ("ppo_cnn", "a2c_cnn"),
        ("ppo_abn_paper", "a2c_abn"),
        ("ppo_mask_convlstm", "a2c_mask_convlstm"),
    ],
)
def test_both_algorithms_have_the_same_network_and_attention(of_ppo: str, of_a2c: str) -> None:
    ppo, a2c = load_agent(of_ppo), load_agent(of_a2c)
    assert (ppo.network, ppo.attention, ppo.train) == (a2c.network, a2c.attention, a2c.train)


@pytest.mark.parametrize("name", ENVS)
def test_reference_scores_are_the_published_ones(name: str) -> None:
    scores = load_env(name).scores
    assert (scores.random, scores.human) == SCORES[name]
    assert scores.source.startswith("dqn_zoo, atari_data.py")


@pytest.mark.parametrize("name", ENVS)
def test_protocols_are_the_published_ones(name: str) -> None:
    protocols = load_env(name).protocol
    assert tuple(protocols) == PROTOCOLS
    same = {
        "frame_skip": 4,
        "max_pool": True,
        "observations": "dqn",
        "crop": None,
        "screen_size": 84,
        "frame_stack": 4,
    }
    # Whether FIRE begins a game depends on the game.
    assert protocols["legacy"].model_dump(exclude={"fire_reset"}) == same | {
        "repeat_action_probability": 0.0,
        "full_action_space": False,
        "noop_max": 30,
        "life_loss_terminal": True,
        "max_frames": 108_000,
    }
    assert protocols["machado2018"].model_dump() == same | {
        "repeat_action_probability": 0.25,
        "full_action_space": True,
        "noop_max": 0,
        "fire_reset": False,
        "life_loss_terminal": False,
        "max_frames": 18_000,
    }
    # crop1 : crop2 + 160 of the published configuration, and its second dimension.
    rows, height = CROPS.get(name, ((34, 194), 80))
    assert protocols["mask_a3c"].model_dump() == protocols["legacy"].model_dump() | {
        "observations": "mask_a3c",
        "crop": {"rows": rows, "height": height},
        "screen_size": 80,
        "frame_stack": 1,
        "max_frames": 40_000,
    }
    assert protocols["mask_a3c"].seen_rows == rows
    assert protocols["legacy"].seen_rows is None


@pytest.mark.parametrize(("agent", "env"), covering(product(AGENTS, ENVS)))
def test_every_agent_plays_every_game(tmp_path: Path, agent: str, env: str) -> None:
    recipe = make_run_recipe(env, agent, seed=7)
    assert (recipe.env_name, recipe.agent_name, recipe.seed) == (env, agent, 7)
    assert recipe.agent == load_agent(agent)
    assert recipe.env == load_env(env)
    write_recipe(tmp_path, recipe)
    assert load_run(tmp_path / "recipe.toml", RunRecipe) == recipe


def test_a_schedule_survives_the_way_through_a_run_folder(tmp_path: Path) -> None:
    write_recipe(tmp_path, make_run_recipe("pong", "ppo_abn", 0))
    algorithm = load_run(tmp_path / "recipe.toml", RunRecipe).agent.algorithm
    assert algorithm.learning_rate == LinearSchedule(start=1e-3, end=0.0)


@pytest.mark.parametrize(
    ("kind", "name"), [("agents", n) for n in AGENTS] + [("envs", n) for n in ENVS]
)
def test_a_recipe_begins_with_what_it_is(kind: Any, name: str) -> None:
    summary = recipe_summary(kind, name)
    first_line = recipe_path(kind, name).read_text("utf-8").splitlines()[0]
    assert 8 <= len(summary) <= 120
    assert first_line.startswith(f"# {summary[:40]}")
    assert not summary.endswith((".", ":", ";"))
