"""A training that begins with another agent's weights, in the place of random ones.

They become the run's checkpoint of step 0, and the training goes on from there as a resumed one
does: where it is killed before its next checkpoint, the other agent is no longer needed.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from rl_abn.errors import RlAbnError
from rl_abn.recipes import InitTable, RunRecipe
from rl_abn.rl.policies.attention_policy import RETURN_MOMENTS, AttentionPolicy
from rl_abn.rl.training import checkpoint
from rl_abn.rl.training.build import Model, make_policy
from rl_abn.rl.training.other_agent import OtherAgent, read_other_agent
from rl_abn.runs import Checkpoint, Run, check_weights
from rl_abn.runs.origin import INIT, init_record, with_origin


def find_initial(table: InitTable, recipe: RunRecipe) -> OtherAgent:
    """Reads the agent that a run begins with, and checks that its weights fit.

    Args:
        table: Which one.
        recipe: Of the run.

    Returns:
        The agent; its record also says who taught it, and which agent it had begun with.

    Raises:
        RlAbnError: If there is none, it is damaged, plays another game or other actions, or has
            another network.
    """
    if not table.path:
        raise RlAbnError("expected an agent to begin with (--init RUN|ZIP, or init.path), got none")
    found = read_other_agent(table, recipe, INIT)
    _weights(found, make_policy(recipe, ortho_init=False), recipe.agent_name)
    return found._replace(record=with_origin(found.record, found.run))


def begin_with(run: Run, model: Model) -> Checkpoint:
    """Gives a model the weights that its run begins with, and saves them as step 0.

    Raises:
        RlAbnError: If the other agent has vanished, is damaged, or is not the one that the run was
            begun with.
    """
    table, known = run.recipe.agent.init, init_record(run)
    assert table is not None
    found = find_initial(table, run.recipe)
    if known is not None and known["sha256"] != found.record["sha256"]:
        raise RlAbnError(
            f"{table.path}: expected the agent that the run began with, sha256 {known['sha256']}, "
            "got other weights; use --on-exists new"
        )
    run.update_meta(**{INIT: found.record})
    model.policy.load_state_dict(_weights(found, model.policy, run.recipe.agent_name))
    return checkpoint.save(run, model, 0)


def _weights(found: OtherAgent, policy: AttentionPolicy, name: str) -> dict[str, Tensor]:
    """Returns an agent's weights as a policy takes them.

    Where only one of the two scales rewards by the moments of its returns, these are left as they
    are, or left out.

    Raises:
        RlAbnError: If the networks differ.
    """
    own, theirs = policy.state_dict(), found.policy.state_dict()
    moments = {key: value for key, value in own.items() if key == RETURN_MOMENTS}
    weights = moments | {key: theirs[key] for key in theirs if key in own or key != RETURN_MOMENTS}
    path = Path(found.record["path"])
    try:
        check_weights(path, weights, own)
    except RlAbnError as error:
        raise RlAbnError(
            f"expected an agent with {name}'s network to begin with, got {found.record['agent']}'s "
            f"({error}); --teacher learns from agents of any network"
        ) from None
    return weights
