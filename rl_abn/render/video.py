"""H.264 video files: written frame by frame through ffmpeg, and decoded for checking."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
import weakref
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8

from rl_abn.errors import RlAbnError

# ffmpeg has at most a few dozen frames left to encode when its input ends.
_PATIENCE_S = 120.0
_GRACE_S = 10.0


class VideoWriter:
    """Writes frames to an mp4 file, as H.264 with 4:2:0 colour, which every player supports.

    No frame is kept in memory. The file is written under a temporary name beside the target,
    `name.partial.mp4`, and renamed when it is closed. An exception or interrupt in the `with` block
    closes it too: the frames written so far become the file.

    Args:
        path: The target, which ends in .mp4; missing parent folders are created, and an existing
            file is replaced.
        size: Width and height of the frames in pixels; both even.
        fps: Frames per second.

    Raises:
        RlAbnError: If an argument is invalid, or the file cannot be created.

    Example:
        >>> with VideoWriter(Path("play.mp4"), size=(320, 420), fps=15.0) as video:
        ...     video.write(np.zeros((420, 320, 3), dtype=np.uint8))
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        width, height = size
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise RlAbnError(f"expected an even video width and height, got {width}×{height}")
        if not (math.isfinite(fps) and fps > 0.0):
            raise RlAbnError(f"expected fps above 0, got {fps}")
        self._path = Path(path)
        self._size = (width, height)
        self._partial = _partial_path(self._path)
        self._n_frames = 0
        self._closed = False
        self._torn = False
        # A file, not a pipe: an unread pipe could fill up and block ffmpeg.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _release
        try:
            # In its own session, because Ctrl-C must not reach ffmpeg, which finishes the file.
            self._process = subprocess.Popen(
                _encode_command(self._partial, self._size, fps),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
            )
        except BaseException as error:
            self._log.close()
            self._partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise RlAbnError(f"cannot start ffmpeg: {error.strerror}") from error
            raise
        # Runs also for a writer that is garbage-collected without being closed.
        self._release = weakref.finalize(self, _release, self._process, self._log)

    @property
    def n_frames(self) -> int:
        """Number of frames written."""
        return self._n_frames

    def write(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Appends one frame, uint8 RGB [height, width, 3].

        Raises:
            RlAbnError: If the frame has another shape or dtype, the writer is closed, or ffmpeg
                failed, for example because the disk is full.
        """
        width, height = self._size
        if self._closed or self._torn:
            raise RlAbnError(f"cannot write to {self._path}: the video is closed")
        if frame.dtype != np.uint8 or frame.shape != (height, width, 3):
            raise RlAbnError(
                f"expected a video frame of uint8 [{height}, {width}, 3],"
                f" got {frame.dtype} {list(frame.shape)}"
            )
        assert self._process.stdin is not None
        # After an interrupt half a frame may be in the pipe; no more frames can follow it.
        self._torn = True
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise self._failed() from error
        self._torn = False
        self._n_frames += 1

    def close(self) -> None:
        """Finishes the file and renames it to its target; a second call does nothing.

        Raises:
            RlAbnError: If no frame was written, or ffmpeg failed.
        """
        if self._closed:
            return
        try:
            self._finish()
        except KeyboardInterrupt:
            # ffmpeg encodes the last frames: finish the file first, then raise the interrupt.
            self._finish()
            raise
        finally:
            self._closed = True
            self._release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except RlAbnError:
            # Otherwise the first error is the one to report.
            if error is None:
                raise

    def _finish(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:
            raise self._failed() from error
        try:
            code = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise self._failed("ffmpeg does not come to an end") from error
        if self._n_frames == 0:
            self._partial.unlink(missing_ok=True)
            raise RlAbnError(f"cannot make {self._path}: no frame was written")
        if code != 0:
            raise self._failed()
        try:
            self._partial.replace(self._path)
        except OSError as error:
            raise RlAbnError(f"cannot name the video {self._path}: {error.strerror}") from error

    def _failed(self, reason: str = "") -> RlAbnError:
        """Stops ffmpeg, removes the incomplete file and returns the error with the reason."""
        _end(self._process)
        self._closed = True
        if not reason:
            self._log.seek(0)
            reason = _reason(self._log.read())
        self._release()
        self._partial.unlink(missing_ok=True)
        return RlAbnError(f"cannot write the video {self._path}: {reason}")


def read_video(path: Path) -> tuple[int, tuple[int, int], float]:
    """Decodes a video file completely.

    Returns:
        The number of frames, width and height in pixels, and the frames per second.

    Raises:
        RlAbnError: If the file is missing or cannot be decoded to its end.
    """
    path = Path(path)
    if not path.is_file():
        raise RlAbnError(f"expected a video file, found none at {path}")
    command = [_ffmpeg(), "-nostdin", "-v", "error", "-xerror", "-i", str(path)]
    command += ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    text = done.stdout.decode(errors="replace")
    frames = [line.split(",") for line in text.splitlines() if line and not line.startswith("#")]
    time_base = re.search(r"#tb 0: (\d+)/(\d+)", text)
    size = re.search(r"#dimensions 0: (\d+)x(\d+)", text)
    if done.returncode != 0 or not frames or time_base is None or size is None:
        raise RlAbnError(f"cannot read the video {path}: {_reason(done.stderr)}")
    ticks = max(int(frames[0][3]), 1)
    fps = Fraction(int(time_base[2]), int(time_base[1]) * ticks)
    return len(frames), (int(size[1]), int(size[2])), float(fps)


def _ffmpeg() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise RlAbnError("expected ffmpeg, found none: reinstall imageio-ffmpeg") from error


def _partial_path(path: Path) -> Path:
    """Returns the temporary path beside the target, and checks that it can be written."""
    if path.suffix.lower() != ".mp4":
        raise RlAbnError(f"expected a video path that ends in .mp4, got {path}")
    if path.is_dir():
        raise RlAbnError(f"expected a path for a video, got the folder {path}")
    partial = path.with_suffix(".partial.mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.open("wb").close()
    except OSError as error:
        raise RlAbnError(f"cannot write the video {path}: {error.strerror}") from error
    return partial


def _encode_command(target: Path, size: tuple[int, int], fps: float) -> list[str]:
    rate = str(Fraction(fps).limit_denominator(100_000))
    command = [_ffmpeg(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "pipe:0", "-an"]
    # Many players assume BT.709 for video of this size, whatever its metadata.
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"]
    # The index comes first, so that a browser can play before the file is loaded.
    return [*command, "-movflags", "+faststart", "-f", "mp4", str(target)]


def _reason(log: bytes) -> str:
    """Returns the first line of ffmpeg's error log, without the prefix of its module."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    full = [line for line in lines if "No space left on device" in line]
    if full:
        return "no space left on device"
    return re.sub(r"^(\[[^\]]*\]\s*)+", "", lines[0]) if lines else "ffmpeg stopped without a word"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Waits for ffmpeg to end, and kills it if it does not."""
    try:
        if process.stdin is not None:
            process.stdin.close()
    except OSError:
        pass
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _release(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    _end(process)
    log.close()
