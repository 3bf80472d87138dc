from __future__ import annotations

import gc
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import VideoWriter, read_video

SIZE = (64, 48)


def picture(level: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), level, dtype=np.uint8)


def record(video: VideoWriter, n: int, then: type[BaseException] | None = None) -> None:
    with video:
        for level in range(n):
            video.write(picture(level))
        if then is not None:
            raise then


def is_running(writer: VideoWriter) -> bool:
    """Whether the writer's ffmpeg is still known to the system, as a zombie too."""
    return Path(f"/proc/{writer._process.pid}").exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "play.mp4"
    with VideoWriter(path, SIZE, 15.0) as video:
        for level in range(40):
            video.write(picture(6 * level))
    assert video.n_frames == 40
    assert read_video(path) == (40, SIZE, 15.0)
    assert names(path.parent) == ["play.mp4"]
    assert not is_running(video)


def test_fractional_rate_is_kept(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "play.mp4", SIZE, 29.97) as video:
        video.write(picture(0))
    assert read_video(tmp_path / "play.mp4")[2] == pytest.approx(29.97, abs=1e-3)


def test_colours_survive(tmp_path: Path) -> None:
    colours = [(255, 255, 255), (0, 0, 0), (200, 72, 72), (0, 28, 136), (92, 186, 92)]
    with VideoWriter(tmp_path / "play.mp4", SIZE, 8.0) as video:
        for colour in colours:
            video.write(np.full((SIZE[1], SIZE[0], 3), colour, dtype=np.uint8))
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "play.mp4"))
    next(frames)
    decoded = [np.frombuffer(f, np.uint8).reshape(SIZE[1], SIZE[0], 3)[24, 32] for f in frames]
    assert np.abs(np.array(decoded, int) - np.array(colours)).max() <= 6


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_interrupted_recording_is_readable(tmp_path: Path, kind: type[BaseException]) -> None:
    path = tmp_path / "play.mp4"
    video = VideoWriter(path, SIZE, 15.0)
    with pytest.raises(kind):
        record(video, 7, then=kind)
    assert read_video(path)[0] == 7
    assert names(tmp_path) == ["play.mp4"]
    assert not is_running(video)


def test_half_a_frame_in_the_pipe_does_not_spoil_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "play.mp4"
    video = VideoWriter(path, SIZE, 15.0)
    with video:
        for level in range(7):
            video.write(picture(level))
        assert video._process.stdin is not None
        video._process.stdin.write(b"x" * 1000)
    assert read_video(path)[0] == 7


def test_no_writing_after_an_interrupted_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoWriter(tmp_path / "play.mp4", SIZE, 15.0) as video:
        video.write(picture(0))

        def interrupted(array: np.ndarray) -> np.ndarray:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(np, "ascontiguousarray", interrupted)
            with pytest.raises(KeyboardInterrupt):
                video.write(picture(1))
        with pytest.raises(RlAbnError, match="closed"):
            video.write(picture(2))
    assert read_video(tmp_path / "play.mp4")[0] == video.n_frames == 1


def test_interrupt_while_closing_still_finishes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "play.mp4"
    video = VideoWriter(path, SIZE, 15.0)
    video.write(picture(0))
    wait, calls = video._process.wait, []

    def interrupted_once(timeout: float | None = None) -> int:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return wait(timeout)

    monkeypatch.setattr(video._process, "wait", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        video.close()
    assert read_video(path)[0] == 1
    assert not is_running(video)


def test_interrupt_before_the_first_frame_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "play.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, SIZE, 15.0):
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["play.mp4"]


def test_closing_without_a_frame_is_an_error(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "play.mp4", SIZE, 15.0)
    with pytest.raises(RlAbnError, match="no frame"):
        video.close()
    assert names(tmp_path) == []
    assert not is_running(video)


def test_close_is_idempotent_and_final(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "play.mp4", SIZE, 15.0)
    video.write(picture(0))
    video.close()
    video.close()
    with pytest.raises(RlAbnError, match="closed"):
        video.write(picture(0))


def test_wrong_frames_are_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "play.mp4"
    with VideoWriter(path, SIZE, 15.0) as video:
        video.write(picture(0))
        with pytest.raises(RlAbnError, match=r"\[48, 64, 3\].*\[64, 48, 3\]"):
            video.write(np.zeros((64, 48, 3), np.uint8))
        with pytest.raises(RlAbnError, match="float64"):
            video.write(np.zeros((48, 64, 3)))
        video.write(picture(1)[:, ::-1])
    assert read_video(path)[0] == 2


@pytest.mark.parametrize(
    ("name", "size", "fps", "message"),
    [
        ("a.mp4", (63, 48), 15.0, "even"),
        ("a.mp4", (0, 48), 15.0, "even"),
        ("a.mp4", SIZE, 0.0, "fps"),
        ("a.mp4", SIZE, float("nan"), "fps"),
        ("a.avi", SIZE, 15.0, r"\.mp4"),
        ("folder.mp4", SIZE, 15.0, "folder"),
        ("file/a.mp4", SIZE, 15.0, "cannot write"),
    ],
)
def test_wrong_targets_are_refused(
    tmp_path: Path, name: str, size: tuple[int, int], fps: float, message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(RlAbnError, match=message) as caught:
        VideoWriter(tmp_path / name, size, fps)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file", "folder.mp4"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "play.partial.mp4").symlink_to("/dev/full")
    video = VideoWriter(tmp_path / "play.mp4", SIZE, 15.0)
    with pytest.raises(RlAbnError, match="no space left on device") as caught:
        record(video, 200)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []
    assert not is_running(video)


def test_dead_ffmpeg_is_one_clear_line(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "play.mp4", SIZE, 15.0)
    video.write(picture(0))
    video._process.kill()
    video._process.wait()
    with pytest.raises(RlAbnError, match="cannot write the video") as caught:
        record(video, 100)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", ["/nonexistent/ffmpeg", __file__])
def test_missing_ffmpeg_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: path)
    with pytest.raises(RlAbnError, match="cannot start ffmpeg"):
        VideoWriter(tmp_path / "play.mp4", SIZE, 15.0)
    assert names(tmp_path) == []


def test_dropped_writer_leaves_no_process(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "play.mp4", SIZE, 15.0)
    video.write(picture(0))
    process = Path(f"/proc/{video._process.pid}")
    assert process.exists() or not Path("/proc/self").exists()
    del video
    gc.collect()
    assert not process.exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "junk", "cut", "folder"])
def test_broken_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "play.mp4"
    noise = np.random.default_rng(0)
    with VideoWriter(path, SIZE, 15.0) as video:
        for _ in range(20):
            video.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        content = {"empty": b"", "junk": b"not a video", "cut": whole[: len(whole) * 2 // 3]}
        path.write_bytes(content[damage])
    with pytest.raises(RlAbnError, match=r"play\.mp4") as caught:
        read_video(path)
    assert "\n" not in str(caught.value)
