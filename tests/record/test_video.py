import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.record import Episode, video
from rl_abn.record.video import moment_of, write_video
from rl_abn.render import GameScene, draw, read_video
from tests.record.played import ACTIONS, SIZE, frame, play


@pytest.fixture
def images(monkeypatch):
    """What is written into a video, as it was drawn."""
    written = []
    write = video.VideoWriter.write

    def keep(self, image):
        written.append(image.copy())
        write(self, image)

    monkeypatch.setattr(video.VideoWriter, "write", keep)
    return written


def scene(**options):
    return GameScene(
        action_names=ACTIONS,
        map_names=["shared"],
        title="agent on Pong",
        fps=15.0,
        frame_size=SIZE,
        **options,
    )


def test_every_step_is_one_frame_as_a_game_is_drawn(tmp_path, images):
    episode = Episode(play(tmp_path / "e", 70))
    made = write_video(tmp_path / "a.mp4", [episode], max_steps=66)
    assert read_video(made.path) == (66, scene().size, 15.0)
    assert made.scores == [float(episode.step(65)["score"])]
    drawn = scene()
    for t in range(66):
        assert np.array_equal(images[t], drawn.render(moment_of(episode, t, frame(t))))


def test_skipped_frames_share_a_steps_numbers(tmp_path, images):
    episode = Episode(play(tmp_path / "e", 5, frames_per_step=4))
    skipped = [[frame(10 * t + i) for i in range(4 if t < 4 else 2)] for t in range(5)]
    made = write_video(tmp_path / "a.mp4", [episode], skipped_frames=[skipped])
    assert read_video(made.path)[::2] == (20, 60.0)
    drawn = scene()
    for t, frames in enumerate(skipped):
        for i, screen in enumerate(frames):
            # The value curve goes on by a step, not by a frame.
            expected = drawn.render(moment_of(episode, t, screen))
            assert np.array_equal(images[4 * t + i], expected)
    assert np.array_equal(images[18], images[17])  # the last step ends early


def test_evidence_is_drawn_below(tmp_path, images):
    episode = Episode(play(tmp_path / "e", 3))
    write_video(tmp_path / "a.mp4", [episode], evidence=True)
    plain = scene().size
    assert images[0].shape[1] == plain[0]
    assert images[0].shape[0] > plain[1] + SIZE[0]
    expected = scene(evidence=True).render(moment_of(episode, 0, frame(0), evidence=True))
    assert np.array_equal(images[0], expected)


def test_several_side_by_side_until_the_last_is_over(tmp_path, images):
    episodes = [Episode(play(tmp_path / f"{n}", n)) for n in (9, 4)]
    made = write_video(tmp_path / "a.mp4", episodes, titles=["A", "B"])
    assert made.n_frames == 9
    assert made.scores == [float(e.step(e.n_steps - 1)["score"]) for e in episodes]
    width, height = scene(enlarge=2).size
    sizes = {(width, 2 * height + 4), (2 * width + 4, height)}
    assert (images[0].shape[1], images[0].shape[0]) in sizes
    at = np.s_[-height:, -width:]  # the second is over after 4 steps, and stays dimmed
    assert images[3][at].mean() > 1.5 * images[4][at].mean()
    assert np.array_equal(images[4][at], images[8][at])
    assert not np.array_equal(images[4][:height, :width], images[8][:height, :width])
    assert (images[4][at] == np.array(draw.TEXT)).all(-1).any()


@pytest.mark.parametrize("n", [2, 3, 4, 7, 16])
def test_every_cell_of_a_grid_is_seen_whole(n):
    size, corners = video._layout([(1088, 560)] * n)
    assert size[0] % 2 == size[1] % 2 == 0
    covered = np.zeros(size[::-1], int)
    for x, y in corners:
        covered[y : y + 560, x : x + 1088] += 1
    assert covered.max() == 1
    assert covered.sum() == n * 1088 * 560


def test_what_does_not_fit_is_refused(tmp_path):
    episode = Episode(play(tmp_path / "e", 3))
    other = Episode(play(tmp_path / "f", 3, fps=30.0))
    with pytest.raises(RlAbnError, match="expected 15 steps of 1 frames a second"):
        write_video(tmp_path / "a.mp4", [episode, other])
    with pytest.raises(RlAbnError, match="expected 1 to 16 games side by side, got 17"):
        write_video(tmp_path / "a.mp4", [episode] * 17)
    with pytest.raises(RlAbnError, match="expected 1 to 16 games"):
        write_video(tmp_path / "a.mp4", [])


def test_an_episode_without_evidence(tmp_path):
    from rl_abn.record import EpisodeWriter
    from tests.record.played import meta, step

    with EpisodeWriter(tmp_path / "e", meta()) as writer:
        writer.add(frame(0), {k: v for k, v in step(0).items() if k != "evidence"})
        writer.finish(whole=True)
    with pytest.raises(RlAbnError, match="expected evidence for each action, got none"):
        write_video(tmp_path / "a.mp4", [Episode(tmp_path / "e")], evidence=True)
