"""Agents are explained at moments of their own games, exactly as they were there."""

import json
import re

import numpy as np
import pytest
import torch

from rl_abn.errors import RlAbnError
from rl_abn.explain.methods import Effort, Request, make_maps, possible
from rl_abn.explain.objects import under_map
from rl_abn.explain.responses import chosen, losses
from rl_abn.explain.study import Thoroughness
from rl_abn.rl.envs.make import make_single_env
from rl_abn.rl.evaluation.explained_policy import (
    answers_with,
    in_fp32,
    own_maps,
    policy_subject,
)
from rl_abn.rl.evaluation.explained_states import ExplainedStates, collect_states
from rl_abn.rl.evaluation.explanation import explain_run
from rl_abn.rl.evaluation.explanation_extent import Extent, with_changes
from rl_abn.rl.evaluation.explanation_parts import (
    fixed_moments,
    lost_score,
    object_findings,
    removed_objects,
)
from rl_abn.rl.evaluation.objects_over_training import (
    blocks_over_training,
    checkpoints_shown,
    numbers_over_training,
    objects_over_training,
)
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.runs import WEIGHTS
from rl_abn.seeds import Stream, derive_seeds
from tests.covering import more
from tests.rl.evaluation.recorded import make_run

CPU = torch.device("cpu")
TINY = Extent(
    episodes=2,
    states=6,
    interventions=("uniform",),
    blind=("frozen",),
    max_steps=20,
    moment_games=2,
    moment_steps=12,
    how=Thoroughness(("blur",), 2, 8, Effort(2, 2, 8), 4, 1, 2),
    quick=True,
)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of few resamples: what is tested here is not their ends."""
    monkeypatch.setattr("rl_abn.estimates.N_RESAMPLES", 100)


def states_of(run, n=6, **options):
    policy = load_policy(run, run.checkpoint(None), CPU)
    recipe = run.recipe
    options = {"n_games": 2, "max_steps": 12, **options}
    return in_fp32(policy), collect_states(
        policy, recipe.env, training_protocol(recipe), n, **options
    )


@pytest.mark.more
@pytest.mark.parametrize(
    "agent", [pytest.param("ppo_abn_paper", marks=pytest.mark.full), "ppo_mask_convlstm"]
)
def test_moments_are_those_of_the_game(tmp_path, agent):
    """Played again from its seed a game shows the same, and leaves the same memory."""
    run = make_run(tmp_path / "run", agent)
    policy, states = states_of(run)
    subject = policy_subject(policy, states, CPU)
    answer = subject.answers()
    assert answer.maps.shape[1] == len(policy.map_names)
    assert bool(states.memory) == (agent == "ppo_mask_convlstm")
    env = make_single_env(run.recipe.env, training_protocol(run.recipe))
    # The first step of game 0: no action was taken before it.
    first = env.reset(int(derive_seeds(0, Stream.EXPLANATION, 0, count=1)[0]))
    output, _ = policy.attend(torch.as_tensor(first[None]))
    one = ExplainedStates(
        first[None], first[None], tuple(m[:1] * 0 for m in states.memory), states.screens[:1],
        states.labels[:1], states.objects, states.games[:1], states.steps[:1],
    )  # fmt: skip
    again = policy_subject(policy, one, CPU).answers()
    torch.testing.assert_close(again.logits, output.action_logits)
    if states.memory:
        # Without what it remembers the agent would say something else.
        without = states._replace(memory=tuple(np.zeros_like(m) for m in states.memory))
        blank = policy_subject(policy, without, CPU).answers()
        assert not torch.allclose(blank.logits, answer.logits)


@pytest.mark.more
def test_moments_are_seeded_spread_and_kept(tmp_path):
    run = make_run(tmp_path / "run")
    _, states = states_of(run)
    _, again = states_of(run)
    for name, array in states.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
    back = ExplainedStates.of_arrays(states.arrays(), states.objects)
    np.testing.assert_array_equal(back.observations, states.observations)
    assert len(states.steps) == 6
    assert set(states.games) == {0, 1}
    assert len(set(zip(states.games, states.steps, strict=True))) == 6
    # Of more moments than are wanted every second one is dropped, until the game is over.
    _, few = states_of(run, n=2, max_steps=20)
    assert set(few.steps) <= {7, 15}
    # 36 invaders fill a good part of the screen, always in the same colour.
    assert states.mask("aliens").any(axis=(1, 2)).all()
    assert 0.03 < states.mask("aliens").mean() < 0.3
    assert states.labels.shape == (6, 4, 84, 84)


@pytest.mark.parametrize("max_steps", [1, 3])
def test_games_of_very_few_steps_leave_moments_too(tmp_path, max_steps):
    extent = with_changes(TINY, max_steps=max_steps)
    assert extent.max_steps == max_steps
    _, states = states_of(make_run(tmp_path / "run"), n=2, max_steps=extent.moment_steps)
    assert len(states.observations) == 2


@pytest.mark.more
def test_interventions_at_fixed_moments(tmp_path):
    run = make_run(tmp_path / "run", "ppo_mask", "space_invaders", "attention.maps=split")
    policy, states = states_of(run)
    subject = policy_subject(policy, states, CPU)
    found = fixed_moments(policy, subject, states, 0).arrays
    assert found["zero|kl"].shape == (6,)
    assert found["zero|kl"].mean() > 0
    # The value's map does not touch the policy, nor the policy's map the value.
    assert found["zero:value|kl"].max() < 1e-6 < found["zero:value|value"].max()
    assert found["zero:policy|value"].max() < 1e-6 < found["zero:policy|kl"].max()
    again = fixed_moments(policy, subject, states, 0).arrays
    assert all(np.array_equal(found[name], again[name]) for name in found)


@pytest.mark.more
def test_objects_and_their_removal(tmp_path):
    run = make_run(tmp_path / "run")
    policy, states = states_of(run)
    # In so few steps the invaders hardly move: in most moments there is nothing to see.
    emptied = states.observations.copy()
    emptied[2:] = 0
    subject = policy_subject(policy, states._replace(observations=emptied), CPU)
    removed = removed_objects(subject, states).arrays
    maps = {"even": np.ones((6, 9, 9), np.float32)}
    maps["on aliens"] = np.stack(
        [mask[:81, :81].reshape(9, 9, 9, 9).mean(axis=(1, 3)) for mask in states.mask("aliens")]
    ).astype(np.float32)
    found = {each.name: each for each in object_findings(states, maps, removed)}
    assert found["aliens"].lift["even"].value == pytest.approx(1.0)
    assert found["aliens"].lift["on aliens"].value > 2
    assert found["aliens"].effect.value > 0
    assert removed["2|kl"][:2].min() > 0 == removed["2|kl"][2:].max()
    assert states.objects[1] == "aliens"


@pytest.mark.more
def test_an_explanation_is_written_and_goes_on_where_it_was(tmp_path):
    run = make_run(tmp_path / "run")
    written = explain_run(run, TINY, out=tmp_path / "out", device="cpu")
    page = written.page.read_text("utf-8")
    # It opens offline: nothing is fetched, nothing is run.
    assert not re.search(r"(src|href)=(?!['\"]data:)|<script|@import|url\(", page)
    assert page.count("<svg") >= 6
    assert "data:image/png;base64," in page
    lines = (tmp_path / "out" / "certificate.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "used", "right", "better", "objects", "sane",
    ]  # fmt: skip
    data = json.loads(written.data.read_text())
    assert data["maps"]["map"] == "map"
    assert data["scores"]["uniform"]["scores"]
    assert {"grad_cam", "occlusion", "sarfa", "motion", "random", "another moment"} <= set(
        data["maps"]["scores"]
    )
    assert data["certificate"][0]["asks"] == "Is the map used?"
    # What was cut off is made again and is the same; what was finished is not touched.
    folder = tmp_path / "out" / "parts"
    for name in ("games-uniform.npz", "states.npz", "removal-3.npz"):
        (folder / name).unlink()
    kept = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    again = explain_run(run, TINY, out=tmp_path / "out", device="cpu")
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in kept.items())
    assert again.page.read_text("utf-8") == page


@pytest.mark.more
def test_objects_are_followed_over_the_checkpoints_at_the_same_moments(tmp_path):
    run = make_run(tmp_path / "run")
    policy, states = states_of(run)
    weights = {name: w.clone() for name, w in policy.state_dict().items()}
    run.save_checkpoint(128, {name: 0 * w for name, w in weights.items()}, {}, {})
    points = checkpoints_shown(run, 128)
    assert [point.step for point in points] == [64, 128]
    assert [point.step for point in checkpoints_shown(run, 100)] == [64]
    told = []
    part = objects_over_training(policy, points, states, lambda what, n: told.append(n))
    assert told == [6, 6]
    found = numbers_over_training(part)
    # An agent of zeros has an even map; the first checkpoint's is as it is measured alone.
    lift = found["objects"]["aliens"]["lift"]
    assert lift[1].value == pytest.approx(1.0, abs=1e-5)
    own = policy_subject(policy, states, CPU).own_map()
    alone = under_map(own, states.mask("aliens")).lift.mean()
    assert lift[0].value == pytest.approx(alone)
    curve, *tables = blocks_over_training(found)
    assert curve.x == (0.5, 1.0)
    assert [row[0] for row in tables[0].rows] == ["64", "128"]


def damage(run, step):
    """Cuts a checkpoint's weights off."""
    file = run.checkpoint(step).path / WEIGHTS
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.more
def test_a_checkpoint_that_cannot_be_read_is_skipped_and_said(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    weights = load_policy(run, run.checkpoint(None), CPU).state_dict()
    for step, factor in ((128, 2), (192, 3)):
        run.save_checkpoint(step, {name: factor * w for name, w in weights.items()}, {}, {})
    kept = (run.checkpoint(128).path / WEIGHTS).read_bytes()
    damage(run, 128)
    extent = TINY._replace(over_training=True)
    written = explain_run(run, extent, out=tmp_path / "out", device="cpu")
    said = "ver the training, the checkpoint of step 128 was skipped: "
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rl-abn: warning: o" + said)
    assert "expected a safetensors file" in line
    assert "O" + said in written.page.read_text("utf-8")
    found = json.loads(written.data.read_text())["objects_over_training"]
    assert found["steps"] == [64, 192]
    assert [each["step"] for each in found["skipped"]] == [128]
    # Once it is whole again it is followed too.
    (run.checkpoint(128).path / WEIGHTS).write_bytes(kept)
    explain_run(run, extent, out=tmp_path / "out", device="cpu")
    found = json.loads(written.data.read_text())["objects_over_training"]
    assert (found["steps"], found["skipped"]) == ([64, 128, 192], [])


@pytest.mark.more
def test_no_checkpoint_that_can_be_read_is_an_error(tmp_path):
    run = make_run(tmp_path / "run")
    policy, states = states_of(run)
    damage(run, 64)
    with pytest.raises(RlAbnError, match="a checkpoint that can be read, got 1 of which none can"):
        objects_over_training(policy, run.checkpoints, states, lambda what, n: None)
    with pytest.raises(RlAbnError, match="expected a safetensors file"):
        explain_run(run, TINY, out=tmp_path / "out", device="cpu")


@pytest.mark.full
def test_an_agent_without_maps_is_studied_by_grad_cam(tmp_path):
    run = make_run(tmp_path / "run", "ppo_cnn")
    extent = with_changes(TINY, episodes=1, states=4, max_steps=12)
    written = explain_run(run, extent, device="cpu")
    assert written.page.is_relative_to(run.path / "explanations")
    lines = {line.question: line for line in written.explanation.certificate.lines}
    assert lines["used"].verdict == "not asked"
    data = json.loads(written.data.read_text())
    assert data["maps"]["map"] == "grad_cam"
    assert set(data["scores"]) == {"intact", "blind: frozen"}


@pytest.mark.parametrize("agent", ["ppo_se", *more("ppo_causal")])
def test_bars_are_not_own_maps(tmp_path, agent):
    policy, states = states_of(make_run(tmp_path / "run", agent, "pong"), 2)
    assert policy.map_names
    assert own_maps(policy_subject(policy, states, CPU)) == {}


def test_maps_of_places_are_those_that_it_acts_on(tmp_path):
    """Shares of 1, too, which are drawn as multiples of an even map."""
    policy, states = states_of(make_run(tmp_path / "run", "ppo_soft", "pong"), 2)
    subject = policy_subject(policy, states, CPU)
    maps = subject.answers().maps
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, 1))
    numbers = torch.arange(2)
    acted = subject.ask_maps(maps, subject.features(subject.images, numbers), numbers)
    torch.testing.assert_close(acted.logits, subject.answers().logits)


@pytest.mark.more
def test_maps_of_pairs_are_shifted_as_pictures_at_fixed_moments(tmp_path):
    policy, states = states_of(make_run(tmp_path / "run", "ppo_transformer", "pong"), 2)
    subject = policy_subject(policy, states, CPU)
    found = fixed_moments(policy, subject, states, 0).arrays["shifted|kl"]

    def moved(own):
        return own.unflatten(3, (7, 7)).roll((3, 3), (3, 4)).flatten(3)

    own, then = (answers_with(subject, maps, None) for maps in (None, moved))
    np.testing.assert_allclose(found, losses(own, then, chosen(own))["kl"], atol=1e-6)
    assert found.max() > 1e-3


@pytest.mark.parametrize("agent", ["ppo_transformer", *more("ppo_highway")])
def test_of_maps_with_more_than_places_what_is_drawn_is_studied(tmp_path, agent):
    policy, states = states_of(make_run(tmp_path / "run", agent, "pong"), 2)
    subject = policy_subject(policy, states, CPU)
    with torch.no_grad():
        output, _ = policy.attend(subject.images)
    (made,) = own_maps(subject).values()
    shown = policy.settings.abilities.drawn(output.map, output.places)
    torch.testing.assert_close(made(subject), shown[:, 0])
    assert subject.grid == output.places
    names = possible(subject, subject.answers())
    assert "grad_cam" in names
    assert "attention_gradient" not in names  # it is of the maps that the agent acts on
    found = make_maps(Request(subject, subject.answers(), subject.images, TINY.how.effort), names)
    assert {tuple(maps.shape) for maps in found.values()} == {(2, *subject.grid)}


@pytest.mark.more
def test_an_agent_with_maps_of_pairs_is_explained_by_what_is_drawn(tmp_path):
    run = make_run(tmp_path / "run", "ppo_transformer")
    extent = with_changes(TINY, episodes=1, states=4, max_steps=12)
    written = explain_run(run, extent, device="cpu")
    data = json.loads(written.data.read_text())
    assert data["maps"]["map"] == "map"
    lines = {line.question: line for line in written.explanation.certificate.lines}
    assert "not asked" not in {lines[question].verdict for question in ("used", "right", "sane")}


def test_a_share_of_the_score():
    found = lost_score("uniform", [40.0, 60.0] * 10, [100.0, 200.0] * 10, 0)
    assert found.share.value == pytest.approx(-2 / 3)
    assert found.share.low < -2 / 3 < found.share.high < -0.5
    assert found.probability.value == 1.0
    assert lost_score("uniform", [1.0], [2.0], 0).share.low is None
