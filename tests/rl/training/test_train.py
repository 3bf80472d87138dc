import json
import os
import signal

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from rl_abn.attention import MECHANISMS, Abilities, Mechanism, no_answer, register_mechanism
from rl_abn.errors import RlAbnError
from rl_abn.recipes import list_recipes, load_agent, make_run_recipe
from rl_abn.render import read_video
from rl_abn.rl.evaluation.run_evaluation import evaluate_run
from rl_abn.rl.evaluation.watch import watch_game, watch_training
from rl_abn.rl.training import callbacks
from rl_abn.rl.training.build import load_policy
from rl_abn.rl.training.metrics import read_metrics
from rl_abn.rl.training.probes import ProbeLog, collect_probes
from rl_abn.rl.training.train import prepare_run, train
from rl_abn.runs import META, METRICS, RECIPE, WEIGHTS, Run, load_tensors, read_json
from tests.complaints import complaint
from tests.covering import covering

SMALL = {
    "ppo": [
        "algorithm.n_envs=2",
        "algorithm.n_steps=16",
        "algorithm.batch_size=16",
        "algorithm.n_epochs=1",
    ],
    "a2c": ["algorithm.n_envs=2", "algorithm.n_steps=4"],
}
SHORT_GAMES = [
    *(f"protocol.{name}.max_frames=120" for name in ("legacy", "mask_a3c")),
    "train.n_probes=2",
]


def start(folder, agent="ppo_abn_paper", env="space_invaders", steps=96, every=32, **kwargs):
    settings = [
        *SMALL[agent[:3]],
        *SHORT_GAMES,
        f"train.steps={steps}",
        "train.log_every=32",
        f"train.checkpoint_every={every}",
        *kwargs.pop("settings", ()),
    ]
    return prepare_run(
        env=env, agent=agent, seed=kwargs.pop("seed", 0), settings=settings, folder=folder, **kwargs
    )


class KilledError(Exception):
    pass


class Kill(BaseCallback):
    def _on_step(self):
        if self.model.num_timesteps >= 80:
            raise KilledError
        return True


def weights(run, step=None):
    return load_tensors(run.checkpoint(step).path / WEIGHTS)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


RECIPES = {agent: load_agent(agent) for agent in list_recipes("agents")}
FORMS = ("abn", "mask", "cnn", "se", "soft", "hard")
PAIRS = [
    (agent, env)
    for agent, recipe in RECIPES.items()
    for env in list_recipes("envs")
    # Memory makes no difference between games, and no more does a mechanism.
    if env == "pong"
    or (agent.split("_")[1] in FORMS and recipe.network.memory == "none")
    or (env == "ms_pacman" and recipe.network.memory != "none")
]
QUICK = {*(f"ppo_{form}" for form in FORMS), "a2c_abn", "a2c_cnn", "ppo_mask_convlstm"}
QUICK |= {"ppo_cbam", "ppo_nonlocal", "a2c_overtime"}  # one of each further kind of maps
FIRST = {"ppo_abn", "ppo_mask"}
QUICK_PAIRS = covering([pair for pair in PAIRS if pair[0] in QUICK], lambda pair: pair[0] in FIRST)
FULL_PAIRS = [pytest.param(*p, marks=pytest.mark.full) for p in PAIRS if p[0] not in QUICK]


@pytest.mark.parametrize(("agent", "env"), [*QUICK_PAIRS, *FULL_PAIRS])
def test_every_pair_starts_logs_and_evaluates(agent, env, tmp_path):
    run, _ = start(tmp_path / "run", agent, env, steps=64, settings=["train.n_probes=1"])
    before = None if agent.split("_")[1] == "cnn" else ProbeLog
    assert train(run, resume=False).step == 64
    rows = read_metrics(run.path / METRICS)
    assert [row["step"] for row in rows] == [32, 64]
    assert np.isfinite(rows[-1]["train/value_loss"])
    maps = [key for key in rows[-1] if key.startswith("attention/")]
    assert len(maps) == 4 * len(load_agent(agent).attention.map_names)
    if before is not None:
        assert before.open(run).steps == [0, 32, 64]
    result = evaluate_run(run, n_games=1, seed=1)
    assert result.evaluations[0].games[0].length <= 30
    assert result.step == 64


@pytest.mark.more
@pytest.mark.parametrize(
    "agent", ["ppo_abn_paper", pytest.param("a2c_mask", marks=pytest.mark.full)]
)
def test_same_seed_same_weights_whatever_the_threads(agent, tmp_path):
    trained = []
    for i, (threads, seed) in enumerate([(1, 0), (2, 0), (1, 1)]):
        settings = [f"train.emulator_threads={threads}", "train.n_probes=0"]
        run, _ = start(tmp_path / str(i), agent, steps=64, seed=seed, settings=settings)
        train(run, resume=False)
        trained.append(weights(run))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


@pytest.mark.parametrize(
    "agent",
    [
        "a2c_abn",
        # The quick set resumes memory in test_kill.py, and ppo_mask in test_edited_maps.py.
        *(
            pytest.param(name, marks=pytest.mark.full)
            for name in (
                "ppo_abn_paper",
                "ppo_abn_fast",
                "ppo_hard",
                "ppo_mask_convlstm",
                "ppo_causal",
            )
        ),
    ],
)
def test_a_resumed_run_ends_as_the_uninterrupted_one(agent, tmp_path):
    whole, _ = start(tmp_path / "whole", agent, steps=128)
    train(whole, resume=False)

    cut, _ = start(tmp_path / "cut", agent, steps=128)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rl_abn.rl.training.train.StopCallback", lambda stop: Kill())
        with pytest.raises(KilledError):
            train(cut, resume=False)
    assert cut.checkpoint().step == 64
    again, resume = start(tmp_path / "cut", agent, steps=128, on_exists="resume")
    assert resume
    assert train(again, resume=True).step == 128
    assert same(weights(whole), weights(again))
    steps = [row["step"] for row in read_metrics(again.path / METRICS)]
    assert steps == sorted(steps)
    assert steps[-1] == 128
    assert ProbeLog.open(again).steps == ProbeLog.open(whole).steps


class Spare(Mechanism):
    """Even maps, and a layer that nothing uses."""

    abilities = Abilities(splits=False)

    def __init__(self, site):
        super().__init__()
        self.spare = torch.nn.Linear(3, 2)

    def forward(self, features):
        return no_answer(features, torch.ones_like(features[:, :1]))

    def gate(self, features, attention_map):
        return features * attention_map


def test_a_run_resumes_with_weights_that_never_had_a_gradient(tmp_path, monkeypatch):
    monkeypatch.setattr(MECHANISMS, "_classes", dict(MECHANISMS._classes))
    register_mechanism("spare", Spare)
    settings = ["attention.mechanism=spare", "train.n_probes=0", "train.reliance_every=0"]
    settings += ["algorithm.learning_rate=1e-3", "algorithm.clip_range=0.1"]  # no schedules
    whole, _ = start(tmp_path / "whole", "ppo_cnn", steps=64, settings=settings)
    train(whole, resume=False)
    start(tmp_path / "cut", "ppo_cnn", steps=32, settings=settings)
    train(Run.open(tmp_path / "cut"), resume=False)
    longer = {"steps": 64, "settings": settings, "on_exists": "resume"}
    again, resume = start(tmp_path / "cut", "ppo_cnn", **longer)
    assert train(again, resume=resume).step == 64
    assert same(weights(whole), weights(again))


@pytest.mark.more
def test_a_finished_run_can_go_on_for_more_steps(tmp_path):
    run, _ = start(tmp_path / "run", steps=64)
    train(run, resume=False)
    unchanged, _ = start(tmp_path / "run", steps=64, on_exists="resume")
    assert train(unchanged, resume=True).step == 64
    longer, resume = start(tmp_path / "run", steps=128, on_exists="resume")
    assert train(longer, resume=resume).step == 128
    assert Run.open(run.path).recipe.agent.train.steps == 128


def test_ctrl_c_saves_between_two_updates(tmp_path, monkeypatch):
    class PressCtrlC(BaseCallback):
        def _on_step(self):
            if self.model.num_timesteps == 50:
                os.kill(os.getpid(), signal.SIGINT)
            return True

    monkeypatch.setattr(callbacks.CheckpointCallback, "_on_step", PressCtrlC._on_step)
    handler = signal.getsignal(signal.SIGINT)
    run, _ = start(tmp_path / "run", every=1000)
    outcome = train(run, resume=False)
    assert outcome.interrupted
    assert outcome.step == 32  # the rollout in hand is forgotten, the update before it is kept
    assert run.checkpoint().step == 32
    assert read_json(run.path / META)["status"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    again, resume = start(tmp_path / "run", every=1000, on_exists="resume")
    assert train(again, resume=resume).step == 96


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of ppo_abn_paper on Space Invaders, to be read."""
    run, _ = start(tmp_path_factory.mktemp("trained") / "run")
    train(run, resume=False)
    return run


@pytest.mark.more
def test_a_run_folder_says_what_it_is_made_of(trained):
    run = trained
    meta = read_json(run.path / META)
    assert meta["status"] == "finished"
    assert meta["versions"]["torch"] == torch.__version__
    assert meta["wall_time_s"] > 0
    assert Run.open(run.path).recipe == run.recipe
    assert [c.step for c in run.checkpoints] == [32, 64, 96]
    assert (run.path / RECIPE).read_text().startswith("agent_name")
    assert any((run.path / "tensorboard").iterdir())


def test_tensorboard_holds_scalars_and_maps_over_time(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trained
    events = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert [e.step for e in events.Images("attention/shared_map")] == [0, 32, 64, 96, 96]
    wanted = {
        "train/loss",
        "train/policy_gradient_loss",
        "train/value_loss",
        "train/entropy_loss",
        "train/approx_kl",
        "train/clip_fraction",
        "train/explained_variance",
        "train/branch_policy_gradient_loss",
        "train/branch_value_loss",
        "train/branch_entropy_loss",
        "train/branch_approx_kl",
        "train/branch_clip_fraction",
        "train/branch_explained_variance",
        "attention/shared_map_entropy",
        "attention/shared_map_contrast",
        "attention/shared_map_coverage",
        "time/fps",
    }
    assert wanted <= set(tags["scalars"])
    rows = {row["step"]: row for row in read_metrics(run.path / METRICS)}
    for event in events.Scalars("train/value_loss"):
        assert event.value == pytest.approx(rows[event.step]["train/value_loss"], rel=1e-5)


def test_metrics_survive_a_line_cut_off(tmp_path):
    path = tmp_path / METRICS
    path.write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "tra')
    assert read_metrics(path) == [{"step": 1}]


@pytest.mark.more
def test_probes_are_fixed_and_differ_from_each_other(space_invaders):
    protocol = space_invaders.protocol["legacy"]
    first = collect_probes(space_invaders, protocol, 4, seed=0)
    again = collect_probes(space_invaders, protocol, 4, seed=0)
    assert first.observations.shape == (4, 4, 84, 84)
    assert first.frames.shape == (4, 210, 160, 3)
    assert np.array_equal(first.observations, again.observations)
    assert len({obs.tobytes() for obs in first.observations}) == 4


def test_stored_maps_are_the_agents_raw_ones(trained):
    run = trained
    log = ProbeLog.open(run)
    policy = load_policy(run, run.checkpoint(), torch.device("cpu"))
    with torch.no_grad():
        attention, _ = policy.attend(torch.from_numpy(log.probes.observations))
    np.testing.assert_allclose(log.maps(96), attention.map.numpy(), atol=1e-3)


@pytest.mark.more
@pytest.mark.parametrize("agent", ["ppo_abn_paper", "a2c_mask", "ppo_cnn"])
def test_a_watched_game_is_recorded_frame_by_frame(agent, trained, tmp_path):
    run = trained
    if agent != "ppo_abn_paper":
        run, _ = start(tmp_path / "run", agent, steps=32, settings=["train.n_probes=0"])
        train(run, resume=False)
    video = watch_game(run, seed=3)
    n_frames, _, fps = read_video(video.path)
    assert n_frames == video.n_frames == 30  # 120 frames of the cap, 4 a step
    assert fps == 15
    assert watch_game(run, seed=3, max_steps=7, out=tmp_path / "x" / "y.mp4").n_frames == 7


@pytest.mark.more
def test_the_video_over_training_shows_every_logging_point(tmp_path):
    run, _ = start(tmp_path / "run", "ppo_mask")
    train(run, resume=False)
    video = watch_training(run)
    assert read_video(video.path)[0] == video.n_frames
    assert video.n_frames >= len(ProbeLog.open(run).steps)


def test_an_agent_without_maps_has_no_video_over_training(tmp_path):
    run, _ = start(tmp_path / "run", "ppo_cnn", steps=32)
    with pytest.raises(RlAbnError, match="expected kept probe positions"):
        watch_training(run)


def test_resume_wants_the_same_run(tmp_path):
    start(tmp_path / "run")
    with pytest.raises(RlAbnError, match="expected to resume agent 'ppo_abn_paper', got 'ppo_cnn'"):
        start(tmp_path / "run", "ppo_cnn", on_exists="resume")
    with pytest.raises(
        RlAbnError,
        match=r"only train\.steps, train\.keep, train\.checkpoint_every_minutes, "
        r"train\.eval_every, train\.eval_games and train\.record_every may change",
    ):
        start(tmp_path / "run", on_exists="resume", settings=["algorithm.gamma=0.5"])


LSTM = "network.memory=lstm"


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ([LSTM], 16),
        ([LSTM, "algorithm.n_steps=12", "algorithm.batch_size=24"], 12),
        (["attention.mechanism=causal"], 16),
    ],
)
def test_ppo_with_memory_begins_with_sequences(settings, length, tmp_path):
    said = complaint(lambda: start(tmp_path / "run", "ppo_cnn", settings=settings))
    assert said.endswith(f"got 1; add --set algorithm.sequence_length={length}")
    assert not (tmp_path / "run").exists()


def test_where_no_sequence_is_longer_a_step_will_do(tmp_path):
    steps = ["algorithm.n_steps=1", "algorithm.batch_size=2"]
    start(tmp_path / "ppo", "ppo_cnn", settings=[LSTM, *steps])
    start(tmp_path / "a2c", "a2c_cnn", settings=[LSTM])


def test_a_run_that_was_begun_without_sequences_goes_on(tmp_path):
    recipe = make_run_recipe("space_invaders", "ppo_cnn", 0, [LSTM])
    Run.create(tmp_path / "run", recipe, "cpu")
    run, resume = prepare_run(
        env="space_invaders",
        agent="ppo_cnn",
        seed=0,
        settings=[LSTM],
        folder=tmp_path / "run",
        on_exists="resume",
    )
    assert resume
    assert run.recipe.agent.algorithm.sequence_length == 1


def test_a_new_run_stands_beside_the_old_one(tmp_path):
    start(tmp_path / "run")
    second, _ = start(tmp_path / "run", on_exists="new")
    third, _ = start(tmp_path / "run", on_exists="new")
    assert (second.path.name, third.path.name) == ("run-2", "run-3")
