"""Attention videos of a run: a game beside its maps, or how the maps formed over training."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rl_abn.attention import Abilities, places_like
from rl_abn.compute.device import device_of
from rl_abn.progress import ProgressReport
from rl_abn.render import (
    GameScene,
    Moment,
    Scale,
    VideoWriter,
    read_video,
    scale_of,
    write_training_video,
)
from rl_abn.rl.envs.make import make_single_env
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.single_game import Step, play_game
from rl_abn.rl.evaluation.title import name_of_game, title_of
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.runs import CheckpointChoice, Run
from rl_abn.runs.shipped import own_run
from rl_abn.seeds import Stream, derive_seeds


class Video(NamedTuple):
    """A video that was written; `score` is the game's raw score, 0 for a video of the training."""

    path: Path
    n_frames: int
    seconds: float
    score: float


class VideoRecorder:
    """Renders every step of a game and writes it into a video."""

    def __init__(
        self,
        scene: GameScene,
        writer: VideoWriter,
        abilities: Abilities,
        report: ProgressReport | None = None,
    ) -> None:
        self.scene = scene
        self.abilities = abilities
        self.writer = writer
        self.report = report

    def on_step(self, step: Step) -> None:
        """Renders one step and writes it."""
        self.writer.write(self.scene.render(moment_of(step, self.abilities)))
        if self.report is not None:
            self.report.update(step.t + 1, score=f"{step.score:.0f}")


def moment_of(step: Step, abilities: Abilities) -> Moment:
    """Returns what is shown of an agent's step.

    Args:
        step: The step.
        abilities: The agent's mechanism's; maps that sum to 1 are shown as multiples of an even
            map.
    """
    assert step.output is not None
    branch = step.output.branch_logits
    return Moment(
        frame=step.frame,
        maps=abilities.drawn(step.output.map[0].cpu().numpy(), step.output.places),
        action_probabilities=step.output.action_logits[0].softmax(dim=-1).cpu().numpy(),
        branch_probabilities=None if branch is None else branch[0].softmax(dim=-1).cpu().numpy(),
        action=step.action,
        value=float(step.output.value[0]),
        reward=step.reward,
        score=step.score,
        lives=step.lives,
        step=step.t,
    )


def watch_game(
    run: Run,
    *,
    out: Path | None = None,
    scale: Scale = "fixed",
    greedy: bool = False,
    max_steps: int | None = None,
    step: CheckpointChoice = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Video:
    """Plays a game under the training protocol and records it as a real-time video.

    Args:
        run: Whose agent.
        out: The video; None is videos/ in the run folder.
        scale: "fixed" shows map values as they are, "frame" stretches each map to its own range.
        greedy: Whether the agent takes the most probable actions.
        max_steps: Records at most this many steps.
        step: The checkpoint's step, or "best"; None is the newest.
        seed: Of the game and of the sampled actions.
        device: Where the network runs.
        report: Progress display.

    Raises:
        RlAbnError: If the checkpoint cannot be used or the video cannot be written.
    """
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    abilities = policy.settings.abilities
    protocol = training_protocol(run.recipe)
    env = make_single_env(run.recipe.env, protocol)
    player = AgentPlayer(run.recipe.agent_name, policy, greedy=greedy, seed=seed)
    scene = GameScene(
        action_names=env.action_names,
        map_names=policy.map_names,
        title=title_of(run, checkpoint.step, greedy=greedy),
        fps=env.fps,
        scale=scale_of(scale, sums_to_one=abilities.sums_to_one),
        frame_size=env.frame_size,
        seen_rows=protocol.seen_rows,
    )
    name = name_of_game([checkpoint.step], seed, greedy=greedy, max_steps=max_steps)
    path = out or own_run(run.path) / "videos" / f"{name}{drawn_on(scale)}.mp4"
    with VideoWriter(path, scene.size, env.fps) as writer:
        recorder = VideoRecorder(scene, writer, abilities, report)
        game_seed = int(derive_seeds(seed, Stream.VIDEO, count=1)[0])
        last = play_game(player, env, game_seed, [recorder], max_steps)
    return Video(path, writer.n_frames, writer.n_frames / env.fps, last.score)


def drawn_on(scale: Scale) -> str:
    """Returns what a scale adds to the name of a video."""
    return "" if scale == "fixed" else f"-{scale}-scale"


def watch_training(
    run: Run,
    *,
    out: Path | None = None,
    scale: Scale = "fixed",
    report: ProgressReport | None = None,
) -> Video:
    """Records how the maps of a run's probe observations formed over training.

    The video goes to `out`, or to videos/ in the run folder.

    Raises:
        RlAbnError: If the run logged no probes, or the video cannot be written.
    """
    log = ProbeLog.open(run)
    steps = log.steps
    attention = run.recipe.agent.attention
    abilities = attention.abilities
    path = out or run.path / "videos" / f"over-training{drawn_on(scale)}.mp4"
    maps = (log.maps(step) for step in steps)
    _, height, width, _ = log.probes.frames.shape
    n_frames = write_training_video(
        path,
        frames=log.probes.frames,
        steps=steps,
        maps=(abilities.drawn(m, places_like(m.shape[-1], height, width)) for m in maps),
        map_names=attention.map_names,
        title=f"{run.recipe.agent_name} on {run.recipe.env.game.title}",
        scale=scale_of(scale, sums_to_one=abilities.sums_to_one),
        seen_rows=training_protocol(run.recipe).seen_rows,
    )
    if report is not None:
        report.update(len(steps))
    _, _, fps = read_video(path)
    return Video(path, n_frames, n_frames / fps, 0.0)
