"""Films a run: a game beside its maps, or how its maps formed over training."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rl_abn.compute.device import device_of
from rl_abn.progress import ProgressReport
from rl_abn.render import GameScene, Moment, Scale, VideoWriter, read_video, write_film
from rl_abn.rl.envs.single_env import SingleEnv
from rl_abn.rl.evaluation.players import AgentPlayer
from rl_abn.rl.evaluation.single_game import Step, play_game
from rl_abn.rl.training.build import load_policy, training_protocol
from rl_abn.rl.training.probes import ProbeLog
from rl_abn.runs import Run
from rl_abn.seeds import derive_seeds

EMULATOR_FPS = 60
_WATCHING = 4  # keeps these games apart from those of training, probing and evaluation


class Video(NamedTuple):
    """A video that was made.

    Attributes:
        path: The file.
        n_frames: Its frames.
        seconds: How long it plays.
        score: Raw score of the game; 0 for a film of the training.
    """

    path: Path
    n_frames: int
    seconds: float
    score: float


class VideoRecorder:
    """Draws every step of a game into a video.

    Args:
        scene: Draws a moment.
        writer: Takes the frames.
        report: Shows how far it is.
    """

    def __init__(
        self, scene: GameScene, writer: VideoWriter, report: ProgressReport | None = None
    ) -> None:
        self.scene = scene
        self.writer = writer
        self.report = report

    def on_step(self, step: Step) -> None:
        """Takes one step."""
        self.writer.write(self.scene.render(moment_of(step)))
        if self.report is not None:
            self.report.update(step.t + 1, score=f"{step.score:.0f}")


def moment_of(step: Step) -> Moment:
    """Reads what a picture shows out of an agent's step."""
    assert step.attention is not None
    branch = step.attention.branch_logits
    return Moment(
        frame=step.frame,
        maps=step.attention.map[0].cpu().numpy(),
        action_probabilities=step.attention.action_logits[0].softmax(dim=-1).cpu().numpy(),
        branch_probabilities=None if branch is None else branch[0].softmax(dim=-1).cpu().numpy(),
        action=step.action,
        value=float(step.attention.value[0]),
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
    step: int | None = None,
    seed: int = 0,
    device: str = "auto",
    report: ProgressReport | None = None,
) -> Video:
    """Plays a game as the agent was trained to and films it in real time.

    Args:
        run: Whose agent.
        out: The video; None is videos/ in the run folder.
        scale: "fixed" shows map values as they are, "frame" stretches each map.
        greedy: Whether it takes its likeliest actions.
        max_steps: Films at most this many steps.
        step: The checkpoint's step; None is the newest.
        seed: Of the game and of the draws.
        device: Where the network runs.
        report: Shows how far it is.

    Raises:
        RlAbnError: If the checkpoint or the video file will not do.
    """
    checkpoint = run.checkpoint(step)
    policy = load_policy(run, checkpoint, device_of(device))
    protocol = training_protocol(run.recipe)
    twin = SingleEnv(run.recipe.env.game, protocol)
    player = AgentPlayer(run.recipe.agent_name, policy, greedy=greedy, seed=seed)
    fps = EMULATOR_FPS / protocol.frame_skip
    scene = GameScene(
        action_names=twin.action_names,
        map_names=policy.map_names,
        title=f"{run.recipe.agent_name} on {run.recipe.env.game.title}, "
        + how_trained(checkpoint.step, run.is_imported),
        fps=fps,
        scale=scale,
        frame_size=twin.frame_size,
        seen_rows=protocol.seen_rows,
    )
    path = out or run.path / "videos" / f"step-{checkpoint.step}-game-{seed}.mp4"
    with VideoWriter(path, scene.size, fps) as writer:
        recorder = VideoRecorder(scene, writer, report)
        game_seed = int(derive_seeds(seed, _WATCHING, count=1)[0])
        last = play_game(player, twin, game_seed, [recorder], max_steps)
    return Video(path, writer.n_frames, writer.n_frames / fps, last.score)


def how_trained(step: int, is_imported: bool) -> str:
    """Says in a title how far an agent is trained; imported weights may not say themselves."""
    if not is_imported:
        return f"{step:,} steps trained"
    return f"{step:,} steps trained elsewhere" if step else "trained elsewhere"


def film_training(
    run: Run,
    *,
    out: Path | None = None,
    scale: Scale = "fixed",
    report: ProgressReport | None = None,
) -> Video:
    """Films how the maps of a run's probe positions formed.

    Args:
        run: A run that kept probes.
        out: The video; None is videos/ in the run folder.
        scale: "fixed" shows map values as they are, "frame" stretches each map.
        report: Shows how far it is.

    Raises:
        RlAbnError: If the run kept no probes, or the video file will not do.
    """
    log = ProbeLog.open(run)
    steps = log.steps
    agent = run.recipe.agent
    path = out or run.path / "videos" / "over-training.mp4"
    n_frames = write_film(
        path,
        frames=log.probes.frames,
        steps=steps,
        maps=map(log.maps, steps),
        map_names=agent.attention.map_names,
        title=f"{run.recipe.agent_name} on {run.recipe.env.game.title}",
        scale=scale,
        seen_rows=training_protocol(run.recipe).seen_rows,
    )
    if report is not None:
        report.update(len(steps))
    _, _, fps = read_video(path)
    return Video(path, n_frames, n_frames / fps, 0.0)
