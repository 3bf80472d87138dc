import json

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.record import Episode, EpisodeWriter, is_episode
from rl_abn.record.chunks import FRAMES, STATES, TRACE, chunk_file, read_state
from rl_abn.record.video import moment_of
from tests.record.played import SIZE, frame, meta, play, step


@pytest.mark.parametrize("n_steps", [1, 63, 64, 65, 150])
def test_every_step_is_read_as_it_was_written(tmp_path, n_steps):
    episode = Episode(play(tmp_path / "e", n_steps))
    assert (episode.n_steps, episode.cut) == (n_steps, None)
    assert episode.n_chunks == -(-n_steps // 64)
    assert episode.meta.score == step(n_steps - 1)["score"]
    for t in np.random.default_rng(0).permutation(n_steps)[:40]:
        assert np.array_equal(episode.frame(t), frame(t))
        found = episode.step(t)
        for name, value in step(t).items():
            assert np.array_equal(found[name], value), name
    assert episode.numbers("reward").tolist() == [float(t % 5 == 0) for t in range(n_steps)]
    assert episode.numbers("maps").shape == (n_steps, 1, 4, 5)
    assert episode.meta.arrays["maps"].dtype == "float16"
    assert episode.meta.arrays["reward"].dtype == "float64"


@pytest.mark.parametrize(("n_colours", "kept"), [(2, "P"), (255, "P"), (300, "RGB")])
def test_frames_are_exact_with_few_colours_and_with_many(tmp_path, n_colours, kept):
    from PIL import Image

    episode = Episode(play(tmp_path / "e", 70, n_colours=n_colours))
    assert all(np.array_equal(episode.frame(t), frame(t, n_colours)) for t in range(70))
    path, n = episode.sheet(1)
    with Image.open(path) as sheet:
        assert sheet.mode == kept
        assert sheet.size == (6 * SIZE[1], SIZE[0])
    assert n == 6


def test_large_screens_have_short_chunks():
    assert meta(frame_size=(210, 160)).chunk_steps == 64
    assert meta(frame_size=(480, 480)).chunk_steps == 16
    assert meta(frame_size=(4096, 4096)).chunk_steps == 1


def test_a_state_is_that_before_the_chunk_of_a_step(tmp_path):
    episode = Episode(play(tmp_path / "e", 150))
    for at, first in ((0, 0), (63, 0), (64, 64), (149, 128)):
        found, state = episode.state_before(at)
        assert found == first
        assert state["t"] == first
        assert state["t"].shape == ()
        assert np.array_equal(state["memory"], np.full((2, 3), first, np.float32))
    chunk_file(episode.path, STATES, 1).unlink()
    assert episode.state_before(100)[0] == 0


def test_a_step_that_is_not_there(tmp_path):
    episode = Episode(play(tmp_path / "e", 10))
    for t in (-1, 10):
        with pytest.raises(RlAbnError, match=rf"expected a step from 0 to 9, got {t}"):
            episode.frame(t)
    with pytest.raises(RlAbnError, match="expected 'observation' at each step, got none"):
        episode.numbers("observation")


def test_an_exception_keeps_the_steps_so_far(tmp_path):
    def interrupted():
        with EpisodeWriter(tmp_path / "e", meta()) as writer:
            for t in range(70):
                writer.add(frame(t), step(t))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    episode = Episode(tmp_path / "e")
    assert episode.n_steps == 70
    assert episode.meta.status == "cut"
    assert "the recording was stopped" in episode.cut


def test_a_killed_recording_is_readable_up_to_its_last_chunk(tmp_path):
    writer = EpisodeWriter(tmp_path / "e", meta())
    for t in range(140):
        writer.add(frame(t), step(t))
    # Nothing ends it: what a kill leaves.
    chunk_file(tmp_path / "e", FRAMES, 2).with_name(".000002.png.partial").write_bytes(b"half")
    episode = Episode(tmp_path / "e")
    assert episode.n_steps == 128
    assert episode.meta.status == "recording"
    assert np.array_equal(episode.frame(127), frame(127))


@pytest.mark.parametrize("kind", [FRAMES, TRACE])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_off_ends_the_episode_before_it(tmp_path, kind, keep):
    folder = play(tmp_path / "e", 150)
    path = chunk_file(folder, kind, 2)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    episode = Episode(folder)
    assert episode.n_steps == 128
    assert str(path) in episode.cut
    assert len(episode.cut.splitlines()) == 1


def test_a_missing_last_chunk_is_noticed(tmp_path):
    folder = play(tmp_path / "e", 150)
    chunk_file(folder, TRACE, 2).unlink()
    episode = Episode(folder)
    assert episode.n_steps == 128
    assert "expected 150 steps, got 128" in episode.cut


def test_a_folder_that_is_taken_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RlAbnError, match="expected a new episode folder"):
        EpisodeWriter(tmp_path, meta())
    assert not is_episode(tmp_path)
    assert is_episode(play(tmp_path / "e", 1))


def test_a_state_is_small_on_disk(tmp_path):
    folder = tmp_path / "e"
    with EpisodeWriter(folder, meta()) as writer:
        writer.add_state({"pair": np.zeros((2, 210, 160), np.uint8)})
        writer.add(frame(0), step(0))
    path = chunk_file(folder, STATES, 0)
    assert path.stat().st_size < 1000
    assert read_state(path)["pair"].shape == (2, 210, 160)


def test_maps_over_all_locations_say_where_these_are_and_older_episodes_need_not(tmp_path):
    folder = play(tmp_path / "e", 2, map_places=(1, 5), even_factor=5)
    episode = Episode(folder)
    assert episode.meta.map_places == (1, 5)
    shown = moment_of(episode, 1, frame(1)).maps
    expected = 5 * step(1)["maps"].astype(np.float32).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(shown, expected, rtol=1e-6)
    path = folder / "meta.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "map_places": [2, 5]}))
    with pytest.raises(RlAbnError, match="expected maps of 2 x 5 columns"):
        Episode(folder)
    del data["map_places"]
    path.write_text(json.dumps(data))
    assert Episode(folder).meta.map_places is None
