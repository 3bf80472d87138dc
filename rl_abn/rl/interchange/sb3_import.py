"""Import of a stable-baselines3 zip; only the policy's tensors are read from it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.files.text import brief
from rl_abn.recipes import RunRecipe, make_run_recipe
from rl_abn.rl.envs.make import check_env
from rl_abn.rl.interchange.imported_run import ImportedAgent, make_imported_run
from rl_abn.rl.interchange.torch_files import read_torch_zip
from rl_abn.rl.policies.attention_policy import RETURN_MOMENTS, AttentionPolicy
from rl_abn.rl.policies.settings import PolicySettings
from rl_abn.rl.training.build import make_policy
from rl_abn.runs import OnExists, Run, check_weights

MOST_BYTES = 512 * 2**20
# The layers of SB3's CnnPolicy, in the order of ours.
_CNN_POLICY = (
    *(f"features_extractor.cnn.{i}" for i in (0, 2, 4)),
    "features_extractor.linear.0",
    "action_net",
    "value_net",
)


def import_sb3(
    path: Path,
    *,
    env: str,
    agent: str,
    settings: Sequence[str] = (),
    folder: Path | None = None,
    on_exists: OnExists | None = None,
) -> Run:
    """Makes a run with one checkpoint from a stable-baselines3 zip.

    Args:
        path: A zip of ours, or of a plain SB3 `CnnPolicy` for an agent without attention.
        env: Name or path of the env recipe.
        agent: Name or path of the agent recipe.
        settings: Overrides such as "network.attention_at=7".
        folder: The run folder; None is runs/ENV/AGENT/sb3-NAME.
        on_exists: "new" or "overwrite", where a run exists already.

    Raises:
        RlAbnError: If the zip is damaged, hostile or of another agent; nothing is written then.
    """
    recipe = make_run_recipe(env, agent, 0, settings)
    check_env(recipe.env)
    agent_read = sb3_agent(path, recipe, *read_sb3(path))
    return make_imported_run(path, "sb3", agent_read, folder=folder, on_exists=on_exists)


def sb3_agent(
    path: Path, recipe: RunRecipe, weights: dict[str, Tensor], steps: int
) -> ImportedAgent:
    """Returns the agent of a recipe whose weights `read_sb3` has read.

    Its recipe says whether it learnt from scaled rewards, as the weights do.

    Raises:
        RlAbnError: If they are a `CnnPolicy`'s and the recipe's agent is none.
    """
    recipe = _with_rewards_of(weights, recipe)
    policy = make_policy(recipe, ortho_init=False)
    if is_cnn_policy(weights):
        weights = _from_cnn_policy(path, weights, policy)
    return ImportedAgent(recipe, policy, weights, steps)


def _with_rewards_of(weights: Mapping[str, Tensor], recipe: RunRecipe) -> RunRecipe:
    algorithm, scaled = recipe.agent.algorithm, RETURN_MOMENTS in weights
    if (algorithm.clip_reward == "return_std") == scaled:
        return recipe
    changed = {"clip_reward": "return_std" if scaled else "sign"}
    agent = {"algorithm": algorithm.model_copy(update=changed)}
    return recipe.model_copy(update={"agent": recipe.agent.model_copy(update=agent)})


def is_cnn_policy(weights: Mapping[str, Tensor]) -> bool:
    """Says whether tensors are those of SB3's own `CnnPolicy`."""
    return "features_extractor.cnn.0.weight" in weights


def read_sb3(path: Path) -> tuple[dict[str, Tensor], int]:
    """Reads the policy's tensors and the number of steps trained from an SB3 zip, in memory.

    The zip's other members contain pickles and are not opened. `policy.pth` is a pickle too:
    torch's loader accepts nothing but tensors from it.

    Raises:
        RlAbnError: If it is no such zip, or a malicious one.
    """
    try:
        if not path.is_file():
            raise ValueError("no such file")
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        with zipfile.ZipFile(path) as archive:
            content = _member(archive, "policy.pth")
            steps = _steps(archive)
        return read_torch_zip(content, MOST_BYTES), steps
    except Exception as error:  # zipfile and torch raise a dozen kinds for a damaged file
        raise RlAbnError(
            f"{path}: expected a stable-baselines3 zip with a policy.pth of tensors, "
            f"got {brief(error)}"
        ) from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads at most `MOST_BYTES` of a member; the size in its header is not trusted.

    Raises:
        ValueError: If it is missing, duplicated or too large, or another member has a name that SB3
            does not write.
    """
    names = archive.namelist()
    for other in names:
        if not re.fullmatch(r"[\w.]+", other, re.ASCII) or ".." in other:
            raise ValueError(f"a member named {other[:80]!r}")
    if names.count(name) != 1:
        raise ValueError(f"{names.count(name) or 'no'} members named {name}")
    with archive.open(name) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"a {name} of more than {MOST_BYTES:,} bytes")
    return content


def _steps(archive: zipfile.ZipFile) -> int:
    """Returns the steps trained, 0 if unknown; nothing else of `data` is used."""
    if "data" not in archive.namelist():
        return 0
    steps = json.loads(_member(archive, "data")).get("num_timesteps")
    return steps if type(steps) is int and 0 <= steps < 2**53 else 0


def _beside_cnn_policy(settings: PolicySettings) -> str | None:
    """Returns what an agent has that SB3's `CnnPolicy` has not; None if the layers are the same."""
    if settings.extractor != "nature" or settings.map_names:
        return f"network '{settings.extractor}' with attention '{settings.mechanism}'"
    if settings.n_stages > 1:
        return "layers of their own for actor and critic"
    if settings.has_memory:
        return f"memory '{settings.memory}'"
    return "layer_norm" if settings.layer_norm else None


def _from_cnn_policy(
    path: Path, weights: dict[str, Tensor], policy: AttentionPolicy
) -> dict[str, Tensor]:
    """Renames the tensors of SB3's CnnPolicy to the policy's names.

    Raises:
        RlAbnError: If the agent has attention or another network, or actor and critic have separate
            extractors.
    """
    if (other := _beside_cnn_policy(policy.settings)) is not None:
        raise RlAbnError(
            f"{path}: expected an agent like ppo_cnn or a2c_cnn for SB3's CnnPolicy, got {other}"
        )
    ours = (name for name in policy.state_dict() if name.endswith(".weight"))
    renamed = {
        f"{sb3_name}.{part}": f"{name_here.removesuffix('.weight')}.{part}"
        for sb3_name, name_here in zip(_CNN_POLICY, ours, strict=True)
        for part in ("weight", "bias")
    }
    # SB3 keeps the shared extractor under three names.
    shared = {name: value for name, value in weights.items() if name.startswith("features_")}
    for prefix in ("pi_", "vf_"):
        copy = {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(f"{prefix}features_")
        }
        if copy:
            check_weights(path, copy, shared)
            if not all(torch.equal(copy[name], shared[name]) for name in shared):
                raise RlAbnError(
                    f"{path}: expected one extractor for actor and critic, got two "
                    "(share_features_extractor=False)"
                )
    return {
        renamed.get(name, name): value
        for name, value in weights.items()
        if not name.startswith(("pi_features_", "vf_features_"))
    }
