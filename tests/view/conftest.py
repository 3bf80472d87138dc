"""Runs and games that the tests of the viewer share; none of them changes what is there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.rl.evaluation.recorded import make_run, record
from tests.view.served import serving

N = 80  # steps: a whole chunk, and one that is not full


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A run and an episode of each kind of agent: one path a name."""
    top = tmp_path_factory.mktemp("viewed") / "runs"
    for name, agent, game in (
        ("plain", "ppo_abn_paper", "space_invaders"),
        ("memory", "a2c_mask_convlstm", "space_invaders"),
        ("hard", "a2c_hard", "space_invaders"),
    ):
        run = make_run(top / name, agent, game)
        episode = record(run, max_steps=N)
        assert episode.n_steps == N
    record(make_run(top / "changed", "ppo_mask"), max_steps=4, **_uniform("ppo_mask"))
    return top


@pytest.fixture(scope="session")
def viewer(runs):
    """A server of them, with ids by name."""
    with serving(runs) as client:
        listed = client.get("/api/library").json
        ids = {run["path_label"].rpartition("/")[2]: run for run in listed["runs"]}
        yield SimpleNamespace(
            client=client,
            runs={name: run["id"] for name, run in ids.items()},
            episodes={name: run["episodes"][0] for name, run in ids.items() if run["episodes"]},
            folders={n: next((runs / n / "episodes").iterdir()) for n in ids},
        )


def _uniform(agent):
    from rl_abn.rl.evaluation.interventions import InterventionSpec

    return {"intervention": InterventionSpec("uniform")}
