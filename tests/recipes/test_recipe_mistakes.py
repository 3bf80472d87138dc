"""A mistake in a recipe becomes one line: what was expected, what was got, the nearest choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rl_abn.errors import RlAbnError
from rl_abn.recipes import load_agent, load_env, make_run_recipe, recipe_path

Complaint = Callable[[Callable[[], object]], str]
Changed = Callable[[str, str], Path]

RATE = '{ kind = "linear", start = 2.5e-4, end = 0.0 }'


@pytest.mark.parametrize(
    ("old", "new", "key", "nearest"),
    [
        ("[algorithm]", "[algoritm]", "algoritm", "algorithm"),
        ("[network]", "[netwrk]", "netwrk", "network"),
        ("[attention]", "[atention]", "atention", "attention"),
        ("[attention]", "[trian]\nsteps = 5\n[attention]", "trian", "train"),
        ("gamma = 0.99", "gama = 0.99", "algorithm.gama", "gamma"),
        ("n_envs = 8", "nenvs = 8", "algorithm.nenvs", "n_envs"),
        ("n_steps = 128", "n_step = 128", "algorithm.n_step", "n_steps"),
        ("learning_rate", "learnin_rate", "algorithm.learnin_rate", "learning_rate"),
        ("clip_range", "cliprange", "algorithm.cliprange", "clip_range"),
        ("branch_coef", "branch_coeff", "algorithm.branch_coeff", "branch_coef"),
        ("ent_coef", "rms_prop_epsilon = 1\nent_coef", "algorithm.rms_prop_epsilon", "adam_eps"),
        ("start = 2.5e-4", "strat = 2.5e-4", "algorithm.learning_rate.strat", "start"),
        ("end = 0.0", "ende = 0.0", "algorithm.learning_rate.ende", "end"),
        ("start = 0.1", "strt = 0.1", "algorithm.clip_range.strt", "start"),
        ("extractor", "extractr", "network.extractr", "extractor"),
        ("attention_at", "atention_at", "network.atention_at", "attention_at"),
        ("mechanism", "mechansim", "attention.mechansim", "mechanism"),
        ("maps", "map", "attention.map", "maps"),
    ],
)
def test_an_unknown_key_of_an_agent(
    complaint: Complaint, agent_with: Changed, old: str, new: str, key: str, nearest: str
) -> None:
    file = agent_with(old, new)
    message = complaint(lambda: load_agent(str(file)))
    if key == "algorithm.rms_prop_epsilon":  # a2c's key, and PPO has none like it
        assert message.startswith(f"{file}: unknown key '{key}': ")
        assert "'rms_prop_eps'" not in message
    else:
        assert message == f"{file}: unknown key '{key}': did you mean '{nearest}'?"


@pytest.mark.parametrize(
    ("old", "new", "key", "nearest"),
    [
        ("[game]", "[gme]", "gme", "game"),
        ("[scores]", "[score]", "score", "scores"),
        ("[objects]", "[object]", "object", "objects"),
        ('kind = "atari"', 'knd = "atari"', "knd", "kind"),
        ("rom =", "roms =", "game.roms", "rom"),
        ("noop_max", "noopmax", "protocol.legacy.noopmax", "noop_max"),
        ("frame_skip = 4", "frameskip = 4", "protocol.legacy.frameskip", "frame_skip"),
        ("human =", "humn =", "scores.humn", "human"),
        ("{ colours", "{ colors", "objects.player.colors", "colours"),
        ("rows =", "row =", "protocol.mask_a3c.crop.row", "rows"),
        (
            "colours = [[50, 132, 50]], rows =",
            "colours = [[50, 132, 50]], row =",
            "objects.player.row",
            "rows",
        ),
    ],
)
def test_an_unknown_key_of_an_env(
    complaint: Complaint, env_with: Changed, old: str, new: str, key: str, nearest: str
) -> None:
    file = env_with(old, new)
    message = complaint(lambda: load_env(str(file)))
    assert message == f"{file}: unknown key '{key}': did you mean '{nearest}'?"


@pytest.mark.parametrize(
    ("old", "new", "ending"),
    [
        ('"ppo"', '"pop"', "algorithm.name: unknown name 'pop': did you mean 'ppo'?"),
        ('"ppo"', '"a2"', "algorithm.name: unknown name 'a2': did you mean 'a2c'?"),
        ('"ppo"', '"PPO"', "algorithm.name: unknown name 'PPO': choose one of: a2c, ppo"),
        ('"ppo"', '"dqn"', "algorithm.name: unknown name 'dqn': choose one of: a2c, ppo"),
        ('"nature"', '"natur"', "network: unknown extractor 'natur': did you mean 'nature'?"),
        ('"nature"', '"impalla"', "network: unknown extractor 'impalla': did you mean 'impala'?"),
        (
            '"residual"',
            '"residul"',
            "attention: unknown mechanism 'residul': did you mean 'residual'?",
        ),
        ('"residual"', '"masc"', "attention: unknown mechanism 'masc': did you mean 'mask'?"),
        ('"residual"', '"Mask"', "attention: unknown mechanism 'Mask': did you mean 'mask'?"),
    ],
)
def test_an_unknown_name(
    complaint: Complaint, agent_with: Changed, old: str, new: str, ending: str
) -> None:
    file = agent_with(old, new)
    assert complaint(lambda: load_agent(str(file))) == f"{file}: {ending}"


@pytest.mark.parametrize(
    ("old", "new", "key", "choices"),
    [
        ('"shared"', '"shred"', "attention.maps", ["shared", "split"]),
        ('"actor_critic"', '"both"', "algorithm.branch_loss", ["actor_critic", "distillation"]),
        ("[attention]", '[train]\nprecision = "fp16"\n[attention]', "train.precision", ["bf16"]),
    ],
)
def test_one_of_a_few_words(
    complaint: Complaint, agent_with: Changed, old: str, new: str, key: str, choices: list[str]
) -> None:
    file = agent_with(old, new)
    message = complaint(lambda: load_agent(str(file)))
    assert message.startswith(f"{file}: {key}: expected ")
    assert all(f"'{choice}'" in message for choice in choices)


@pytest.mark.parametrize(
    ("old", "new", "key", "got"),
    [
        ("gamma = 0.99", "gamma = 1.5", "gamma", "1.5"),
        ("gamma = 0.99", "gamma = -0.01", "gamma", "-0.01"),
        ("gamma = 0.99", "gamma = nan", "gamma", "nan"),
        ("gamma = 0.99", "gamma = inf", "gamma", "inf"),
        ("gamma = 0.99", "gamma = -inf", "gamma", "-inf"),
        ("gamma = 0.99", "gamma = 1e400", "gamma", "inf"),
        ("gamma = 0.99", 'gamma = "high"', "gamma", "'high'"),
        ("gamma = 0.99", "gamma = [0.99]", "gamma", "[0.99]"),
        ("gae_lambda = 0.95", "gae_lambda = 1.01", "gae_lambda", "1.01"),
        ("ent_coef = 0.01", "ent_coef = -0.01", "ent_coef", "-0.01"),
        ("max_grad_norm = 0.5", "max_grad_norm = 0.0", "max_grad_norm", "0.0"),
        ("branch_coef = 1.0", "branch_coef = nan", "branch_coef", "nan"),
        ("n_envs = 8", "n_envs = 0", "n_envs", "0"),
        ("n_envs = 8", "n_envs = -8", "n_envs", "-8"),
        ("n_envs = 8", "n_envs = 8.5", "n_envs", "8.5"),
        ("n_envs = 8", "n_envs = nan", "n_envs", "nan"),
        ("n_steps = 128", "n_steps = 0", "n_steps", "0"),
        ("n_epochs = 4", "n_epochs = 0", "n_epochs", "0"),
        ("batch_size = 256", "batch_size = 0", "batch_size", "0"),
        (RATE, "-2.5e-4", "learning_rate", "-0.00025"),
        (RATE, "0", "learning_rate", "0"),
        (RATE, "nan", "learning_rate", "nan"),
        (RATE, "inf", "learning_rate", "inf"),
        (RATE, '"2.5e-4x"', "learning_rate", "'2.5e-4x'"),
    ],
)
def test_an_impossible_number(
    complaint: Complaint, agent_with: Changed, old: str, new: str, key: str, got: str
) -> None:
    file = agent_with(old, new)
    message = complaint(lambda: load_agent(str(file)))
    assert message.startswith(f"{file}: algorithm.{key}: expected ")
    assert message.endswith(f", got {got}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("start = 2.5e-4", "start = -2.5e-4"),
        ("start = 2.5e-4", "start = nan"),
        ("start = 2.5e-4", 'start = "high"'),
        ("start = 2.5e-4", "start = [1]"),
        ("end = 0.0", "end = -1.0"),
        ('kind = "linear"', 'kind = "cosine"'),
        ("start = 2.5e-4, ", ""),
    ],
)
def test_a_wrong_schedule(complaint: Complaint, agent_with: Changed, old: str, new: str) -> None:
    file = agent_with(old, new)
    message = complaint(lambda: load_agent(str(file)))
    assert message.startswith(f"{file}: ")
    assert "algorithm.learning_rate" in message


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("start = 2.5e-4", "start = -2.5e-4", "learning_rate.start"),
        ('kind = "linear"', 'kind = "cosine"', "learning_rate.kind"),
        ("start = 2.5e-4, ", "", "learning_rate.start"),
        ("start = 0.1", "start = nan", "clip_range.start"),
    ],
)
def test_a_wrong_schedule_names_the_wrong_field(
    complaint: Complaint, agent_with: Changed, old: str, new: str, field: str
) -> None:
    file = agent_with(old, new)
    assert f"algorithm.{field}" in complaint(lambda: load_agent(str(file)))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("noop_max = 30", "noop_max = -1", "protocol.legacy.noop_max"),
        ("noop_max = 30", "noop_max = 1_000_000_000", "protocol.legacy.noop_max"),
        ("frame_skip = 4", "frame_skip = 0", "protocol.legacy.frame_skip"),
        ("screen_size = 84", "screen_size = 10", "protocol.legacy.screen_size"),
        ("max_frames = 108000", "max_frames = 1", "protocol.legacy.max_frames"),
        ("probability = 0.0", "probability = 1.01", "protocol.legacy.repeat_action_probability"),
        ("fire_reset = true", 'fire_reset = "maybe"', "protocol.legacy.fire_reset"),
        ("[protocol.legacy]", "[protocol.legcy]", "protocol.legcy"),
        ("rows = [8, 196]", "rows = [8, 211]", "protocol.mask_a3c.crop"),
        ("rows = [8, 196]", "rows = [196, 8]", "protocol.mask_a3c.crop"),
        ("height = 94", "height = 0", "protocol.mask_a3c.crop.height"),
        ("frame_stack = 1", "frame_stack = 4", "protocol.mask_a3c"),
        (
            'observations = "mask_a3c"',
            'observations = "mask_a2c"',
            "protocol.mask_a3c.observations",
        ),
        ('observations = "mask_a3c"', 'observations = "dqn"', "protocol.mask_a3c"),
        ("screen_size = 84", 'screen_size = 84\nobservations = "mask_a3c"', "protocol.legacy"),
        ("random = 148.0", "random = inf", "scores.random"),
        ("random = 148.0", "random = 1668.7", "scores"),
        ("[[50, 132, 50]]", "[[50, 132, 256]]", "objects.player.colours.0.2"),
        ("[[50, 132, 50]]", "[[50, -1, 50]]", "objects.player.colours.0.1"),
        ('"atari"', '"atary"', "kind"),
    ],
)
def test_an_impossible_env(
    complaint: Complaint, env_with: Changed, old: str, new: str, key: str
) -> None:
    file = env_with(old, new)
    message = complaint(lambda: load_env(str(file)))
    assert message.startswith(f"{file}: {key}: expected ")
    assert ", got " in message


@pytest.mark.parametrize(
    ("batch", "nearest"), [(300, 256), (1023, 512), (3, 2), (1025, 1024), (2048, 1024)]
)
def test_batches_have_to_fill_the_rollout(
    complaint: Complaint, agent_with: Changed, batch: int, nearest: int
) -> None:
    file = agent_with("batch_size = 256", f"batch_size = {batch}")
    assert complaint(lambda: load_agent(str(file))) == (
        f"{file}: algorithm: expected a batch_size that divides n_envs * n_steps = 1024, "
        f"got {batch}; the nearest below is {nearest}"
    )


def test_a_huge_rollout_is_answered_at_once(complaint: Complaint, agent_with: Changed) -> None:
    file = agent_with("n_envs = 8", "n_envs = 1_000_000_000_000_001")
    message = complaint(lambda: load_agent(str(file)))
    assert "algorithm.n_envs: expected less than or equal to 4096" in message


@pytest.mark.parametrize(
    ("extractor", "size", "choices", "nearest"),
    [
        ("nature", 10, "9 or 7", 9),
        ("nature", 1, "9 or 7", 7),
        ("nature", 21, "9 or 7", 9),
        ("impala", 9, "21 or 11", 11),
        ("impala", 84, "21 or 11", 21),
    ],
)
def test_attention_sits_where_the_network_can_be_split(
    complaint: Complaint, agent_with: Changed, extractor: str, size: int, choices: str, nearest: int
) -> None:
    file = agent_with(
        'extractor = "nature"\nattention_at = 9',
        f'extractor = "{extractor}"\nattention_at = {size}',
    )
    assert complaint(lambda: load_agent(str(file))) == (
        f"{file}: network: expected attention_at of {choices} for {extractor}, got {size}; "
        f"the nearest is {nearest}"
    )


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("n_envs = 8\n", "algorithm.n_envs"),
        ("n_steps = 128\n", "algorithm.n_steps"),
        (f"learning_rate = {RATE}\n", "algorithm.learning_rate"),
        ('name = "ppo"\n', "algorithm.name"),
    ],
)
def test_a_missing_key_of_an_agent(
    complaint: Complaint, agent_with: Changed, old: str, key: str
) -> None:
    file = agent_with(old, "")
    assert complaint(lambda: load_agent(str(file))) == f"{file}: expected a key '{key}', got none"


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("noop_max = 30\n", "protocol.legacy.noop_max"),
        ("human = 1668.7\n", "scores.human"),
        ('rom = "space_invaders" # ale_py.roms\n', "game.rom"),
    ],
)
def test_a_missing_key_of_an_env(
    complaint: Complaint, env_with: Changed, old: str, key: str
) -> None:
    file = env_with(old, "")
    assert complaint(lambda: load_env(str(file))) == f"{file}: expected a key '{key}', got none"


def test_a_value_where_a_table_belongs(complaint: Complaint, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    for text in ("algorithm = 3", '[[algorithm]]\nname = "ppo"'):
        file.write_text(text)
        message = complaint(lambda: load_agent(str(file)))
        assert message.startswith(f"{file}: algorithm: expected ")


def test_an_agent_is_no_env(complaint: Complaint) -> None:
    agent, env = str(recipe_path("agents", "ppo_abn_paper")), str(recipe_path("envs", "pong"))
    assert complaint(lambda: load_env(agent)).startswith(f"{agent}: unknown key 'algorithm': ")
    assert complaint(lambda: load_agent(env)).startswith(f"{env}: unknown key 'kind': ")


def test_no_branch_has_nothing_to_learn(complaint: Complaint, agent_with: Changed) -> None:
    file = agent_with('mechanism = "residual"', 'mechanism = "none"')
    assert complaint(lambda: load_agent(str(file))) == (
        f"{file}: expected algorithm.branch_loss = 'none' where attention.mechanism is 'none' "
        "(there is no branch), got 'actor_critic'"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["network.memory=convlstm"],
            "expected network.memory = 'lstm' with mechanism 'hard' (its state asks where to "
            "look), got 'convlstm'",
        ),
        (
            ["attention.maps=split"],
            "expected attention.maps = 'shared' with mechanism 'hard', got 'split'",
        ),
        (
            ["algorithm.branch_loss=distillation"],
            "expected algorithm.branch_loss = 'none' where attention.mechanism is 'hard' "
            "(there is no branch), got 'distillation'",
        ),
    ],
)
def test_a_mechanism_with_a_query_needs_an_lstm_and_one_map(
    complaint: Complaint, settings: list[str], message: str
) -> None:
    said = complaint(lambda: make_run_recipe("pong", "ppo_hard", 0, settings))
    assert said.endswith(message)


@pytest.mark.parametrize("seed", [-1, 2**31, 2**64])
def test_a_seed_has_31_bits(complaint: Complaint, seed: int) -> None:
    message = complaint(lambda: make_run_recipe("pong", "ppo_abn_paper", seed))
    assert message.startswith("run: seed: expected ")
    assert message.endswith(f"got {seed}")
    assert make_run_recipe("pong", "ppo_abn_paper", 2**31 - 1).seed == 2147483647


def test_a_game_without_the_protocol_to_train_under(complaint: Complaint, tmp_path: Path) -> None:
    text = recipe_path("envs", "pong").read_text("utf-8")
    before, after = text.split("[protocol.machado2018]")
    file = tmp_path / "env.toml"
    file.write_text(before + "[scores]" + after.split("[scores]")[1], "utf-8")
    assert make_run_recipe(str(file), "ppo_abn_paper", 0).env.protocol.keys() == {"legacy"}
    assert complaint(
        lambda: make_run_recipe(str(file), "ppo_abn_paper", 0, ["train.protocol=machado2018"])
    ) == ("run: expected train.protocol of ['legacy'], got 'machado2018'")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gamma = 0.99", "gamma = true"),
        ("gamma = 0.99", 'gamma = "0.99"'),
        ("n_epochs = 4", "n_epochs = true"),
        ("n_envs = 8", 'n_envs = "8"'),
        ("branch_coef = 1.0", "branch_coef = 1.0\nclip_reward = 1"),
    ],
)
def test_a_value_of_another_type(
    complaint: Complaint, agent_with: Changed, old: str, new: str
) -> None:
    file = agent_with(old, new)
    assert ": expected " in complaint(lambda: load_agent(str(file)))


@pytest.mark.parametrize("rows", ["[195, 185]", "[185, 185]", "[-5, 10]", "[185, 999]"])
def test_rows_lie_on_the_screen(complaint: Complaint, env_with: Changed, rows: str) -> None:
    file = env_with("rows = [185, 195]", f"rows = {rows}")
    assert "objects.player" in complaint(lambda: load_env(str(file)))


def test_a_key_with_a_line_break_is_still_one_line(
    complaint: Complaint, agent_with: Changed
) -> None:
    file = agent_with("gamma = 0.99", '"gam\\nma" = 0.99')
    assert "did you mean 'gamma'?" in complaint(lambda: load_agent(str(file)))


def test_mistakes_are_rlabnerrors_and_no_exception_is_chained(agent_with: Changed) -> None:
    file = agent_with("gamma = 0.99", "gamma = 1.5")
    with pytest.raises(RlAbnError) as caught:
        load_agent(str(file))
    assert caught.value.__suppress_context__


def test_all_mistakes_are_named_at_once(complaint: Complaint, tmp_path: Path) -> None:
    text = recipe_path("agents", "ppo_abn_paper").read_text("utf-8")
    text = text.replace("gamma = 0.99", "gama = 0.99").replace("n_envs = 8", "n_envs = 0")
    file = tmp_path / "agent.toml"
    file.write_text(text.replace('"shared"', '"shred"'), "utf-8")
    message = complaint(lambda: load_agent(str(file)))
    assert message == (
        f"{file}: unknown key 'algorithm.gama': did you mean 'gamma'?; "
        "algorithm.n_envs: expected greater than or equal to 1, got 0; "
        "attention.maps: expected 'shared', 'split' or 'policy', got 'shred'"
    )


def test_a_misspelt_key_is_not_missing_too(complaint: Complaint, tmp_path: Path) -> None:
    file = tmp_path / "env.toml"
    file.write_text('[game]\ntitel = "P"\nid = "P"\nrom = 1\n', "utf-8")
    assert complaint(lambda: load_env(str(file))) == (
        f"{file}: unknown key 'game.titel': did you mean 'title'?; "
        "game.rom: expected a valid string, got 1; expected a key 'protocol', got none"
    )


def test_a_long_list_of_mistakes_is_cut(complaint: Complaint, tmp_path: Path) -> None:
    file = tmp_path / "env.toml"
    lines = "".join(f"key_{i} = 0\n" for i in range(50))
    file.write_text(lines + recipe_path("envs", "pong").read_text("utf-8"), "utf-8")
    message = complaint(lambda: load_env(str(file)))
    assert message.count("unknown key") == 12
    assert message.endswith("; and 38 more")


@pytest.mark.parametrize(
    ("agent", "setting", "message"),
    [
        (
            "ppo_cnn",
            "algorithm.map_area_coef=0.1",
            "expected algorithm.map_area_coef = 0 with mechanism 'none' (no gradient reaches a "
            "map), got 0.1",
        ),
        (
            "ppo_hard",
            "algorithm.map_entropy_coef=0.1",
            "expected algorithm.map_entropy_coef = 0 with mechanism 'hard' (no gradient reaches a "
            "map), got 0.1",
        ),
        (
            "a2c_mask_a3c",
            "network.layer_norm=true",
            "network: expected layer_norm = false for mask_a3c, which has no fully connected layer",
        ),
    ],
)
def test_an_option_needs_what_it_is_about(
    complaint: Complaint, agent: str, setting: str, message: str
) -> None:
    said = complaint(lambda: make_run_recipe("pong", agent, 0, [setting]))
    assert said == f"--set {setting}: {message}"
