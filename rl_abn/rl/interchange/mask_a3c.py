"""Import of a weight file published with Mask-Attention A3C (Itaya et al., IJCNN 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief, kind_of
from rl_abn.recipes import RunRecipe, list_recipes, load_agent, load_game, make_run_recipe
from rl_abn.rl.envs.ale_vec_env import AleVecEnv
from rl_abn.rl.envs.make import check_env
from rl_abn.rl.interchange.imported_run import ImportedAgent, make_imported_run
from rl_abn.rl.interchange.torch_files import read_torch
from rl_abn.rl.policies.attention_policy import AttentionPolicy
from rl_abn.rl.training.build import make_policy, policy_settings
from rl_abn.runs import OnExists, Run, check_weights

AGENT = "a2c_mask_a3c"
MOST_BYTES = 64 * 2**20  # the published files have 1.4 MB
PARTS = ("weight", "bias")
# Names of the published layers, and of the same layers here.
_LAYERS = {
    "conv1": "features_extractor.layers.0.0",
    "conv2": "features_extractor.layers.1.0",
    "conv3": "features_extractor.layers.2.0",
    "convlstm1.conv": "feature_memory.gates",
    "a_conv": "before_gates.0.0",
    "c_conv": "before_gates.1.0",
    "actor_linear": "action_net",
    "critic_linear": "value_net",
}
NAMES = {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in _LAYERS.items() for part in PARTS}
# Both maps come from one layer here, one output channel each.
MAPS, MAP_HEAD = ("att_conv_a1", "att_conv_c1"), "attention_branch.map_head.0"


def import_mask_a3c(
    path: Path,
    *,
    env: str,
    agent: str = AGENT,
    settings: Sequence[str] = (),
    steps: int = 0,
    folder: Path | None = None,
    on_exists: OnExists | None = None,
) -> Run:
    """Makes a run with one checkpoint from a published weight file.

    Args:
        path: A file of the network with both masks, with or without its ConvLSTM.
        env: Name or path of the env recipe; the file does not name its game.
        agent: Name or path of an agent recipe with the same operations.
        settings: Overrides such as "train.precision=bf16"; the memory follows from the file.
        steps: Agent steps trained, for the record; the file does not contain them.
        folder: The run folder; None is runs/ENV/AGENT/mask-a3c-NAME.
        on_exists: "new" or "overwrite", where a run exists already.

    Raises:
        RlAbnError: If the file is damaged, hostile, of another agent or of a game with another
            number of actions; nothing is written then.
    """
    published = read_mask_a3c(path)
    recipe = make_run_recipe(env, agent, 0, (*settings, memory_setting(published)))
    check_env(recipe.env)
    imported = mask_a3c_agent(path, recipe, published, steps)
    return make_imported_run(path, "mask-a3c", imported, folder=folder, on_exists=on_exists)


def memory_setting(published: Mapping[str, Tensor]) -> str:
    """Returns the override that gives a recipe the memory of published weights."""
    has_memory = any(name.startswith("convlstm") for name in published)
    return f"network.memory={'convlstm' if has_memory else 'none'}"


def mask_a3c_agent(
    path: Path, recipe: RunRecipe, published: Mapping[str, Tensor], steps: int
) -> ImportedAgent:
    """Returns the agent of a recipe whose weights `read_mask_a3c` has read.

    Raises:
        RlAbnError: If they are of another agent, or of a game with another number of actions.
    """
    policy = make_policy(recipe, ortho_init=False)
    _check_agent(path, policy)
    expected = to_published(policy.state_dict())
    if published.keys() == expected.keys():
        _check_actions(path, published, recipe, policy)
    check_weights(path, published, expected)
    return ImportedAgent(recipe, policy, from_published(published), steps)


def read_mask_a3c(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a weight file by their published names.

    Raises:
        RlAbnError: If it contains anything but tensors, or is no such file.
    """
    try:
        if kind_of(path) != "a file":
            raise ValueError(kind_of(path) or "no such file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        return read_torch(content, MOST_BYTES)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise RlAbnError(
            f"{path}: expected a weight file of Mask-Attention A3C, got {brief(error)}"
        ) from None


def to_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a policy's tensors to their published names."""
    published = {theirs: weights[ours] for theirs, ours in NAMES.items() if ours in weights}
    for part in PARTS:
        for row, name in enumerate(MAPS):
            published[f"{name}.{part}"] = weights[f"{MAP_HEAD}.{part}"][row : row + 1]
    return published


def from_published(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames published tensors to the policy's names."""
    weights = {ours: published[theirs] for theirs, ours in NAMES.items() if theirs in published}
    for part in PARTS:
        weights[f"{MAP_HEAD}.{part}"] = torch.cat([published[f"{name}.{part}"] for name in MAPS])
    return weights


def _check_agent(path: Path, policy: AttentionPolicy) -> None:
    """Checks that an agent has the published operations.

    Raises:
        RlAbnError: If its network or its attention differs.
    """
    settings, published = policy.settings, policy_settings(load_agent(AGENT))
    fields = ("extractor", "mechanism", "maps", "answers")
    if any(getattr(settings, field) != getattr(published, field) for field in fields):
        answers = " and a branch that answers" if settings.answers else ""
        raise RlAbnError(
            f"{path}: expected an agent like {AGENT}, got network '{settings.extractor}' with "
            f"attention '{settings.mechanism}', maps '{settings.maps}'{answers}"
        )


def _check_actions(
    path: Path, published: Mapping[str, Tensor], recipe: RunRecipe, policy: AttentionPolicy
) -> None:
    """Checks that the weights have the game's number of actions.

    Raises:
        RlAbnError: If not; it names the games that have as many.
    """
    shape = published["actor_linear.weight"].shape
    if len(shape) != 2 or shape[0] == policy.n_actions:
        return
    protocol = recipe.agent.train.protocol
    games = []
    for name in list_recipes("envs"):
        env = load_game(name)
        if AleVecEnv(env.game, env.protocol[protocol], 1).action_space.n == shape[0]:  # type: ignore[attr-defined]
            games.append(name)
    raise RlAbnError(
        f"{path}: expected {policy.n_actions} actions of {recipe.env.game.title}, got {shape[0]}; "
        f"games with {shape[0]}: {', '.join(games) or 'none of those that ship'}"
    )
