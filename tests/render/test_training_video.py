from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.render import overlay, overlay_grid, read_video, write_training_video
from rl_abn.render.grid import largest_grid


@pytest.fixture
def probes(frame: np.ndarray) -> np.ndarray:
    return np.stack([np.roll(frame, 10 * i, axis=0) for i in range(3)])


def maps(n_probes: int = 3, n_maps: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n_probes, n_maps, 10, 10), dtype=np.float32)


@pytest.mark.parametrize(("n_maps", "names"), [(1, ["shared"]), (2, ["policy", "value"])])
def test_video_has_each_point_and_a_final_hold(
    tmp_path: Path, probes: np.ndarray, n_maps: int, names: list[str]
) -> None:
    path = tmp_path / "video.mp4"
    n_frames = write_training_video(
        path,
        frames=probes,
        steps=[0, 10, 1000],
        maps=(maps(n_maps=n_maps, seed=i) for i in range(3)),
        map_names=names,
        title="Breakout",
        fps=4.0,
        hold=2,
    )
    assert n_frames == 3 * 2 + 8
    decoded, (width, height), fps = read_video(path)
    assert (decoded, fps) == (n_frames, 4.0)
    assert width % 2 == height % 2 == 0


def test_video_of_one_point_at_step_zero(tmp_path: Path, probes: np.ndarray) -> None:
    n_frames = write_training_video(
        tmp_path / "video.mp4",
        frames=probes[:1],
        steps=[0],
        maps=[maps(1)],
        map_names=["shared"],
        title="a title that is much too long for a video of a single small game" * 3,
        scale="frame",
        fps=4.0,
        hold=1,
    )
    assert n_frames == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [], "maps": []}, "no logging points"),
        ({"map_names": []}, "no attention maps"),
        ({"steps": [5, 3]}, "rising"),
        ({"hold": 0}, "hold"),
        ({"scale": "log"}, "'log'"),
        ({"frames": np.zeros((210, 160, 3), np.uint8)}, "probe frames"),
        ({"maps": [maps(2), maps(2)]}, r"\[3, 1, h, w\], got \[2, 1, 10, 10\]"),
    ],
)
def test_wrong_arguments_are_refused_and_leave_nothing(
    tmp_path: Path, probes: np.ndarray, changes: dict[str, Any], message: str
) -> None:
    plain: dict[str, Any] = {
        "frames": probes,
        "steps": [0, 10],
        "maps": [maps(), maps()],
        "map_names": ["shared"],
        "title": "Breakout",
    }
    with pytest.raises(RlAbnError, match=message):
        write_training_video(tmp_path / "video.mp4", **{**plain, **changes})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("n_points", "message"), [(1, "got 1"), (3, "got more")])
def test_steps_and_maps_must_agree(
    tmp_path: Path, probes: np.ndarray, n_points: int, message: str
) -> None:
    with pytest.raises(RlAbnError, match=message):
        write_training_video(
            tmp_path / "video.mp4",
            frames=probes,
            steps=[0, 10],
            maps=[maps()] * n_points,
            map_names=["shared"],
            title="Breakout",
            fps=2.0,
        )


def test_overlay_grid_is_the_overlays_side_by_side(probes: np.ndarray) -> None:
    probe_maps = maps(n_maps=2)
    picture = overlay_grid(probes, probe_maps)
    assert picture.shape == (2 * 210 + 2, 3 * 160 + 2 * 2, 3)
    for block in range(2):
        for i in range(3):
            cell = picture[212 * block : 212 * block + 210, 162 * i : 162 * i + 160]
            assert np.array_equal(cell, overlay(probes[i], probe_maps[i, block]))


def test_rows_of_an_overlay_grid_stand_under_their_names(probes: np.ndarray) -> None:
    probe_maps = maps(n_maps=2)
    long = "a name that is longer than three games are wide" * 5
    picture = overlay_grid(probes, probe_maps, names=["Smiling", long])
    plain = overlay_grid(probes, probe_maps)
    assert picture.shape == (plain.shape[0] + 2 * 16 + 4, plain.shape[1], 3)
    for block, top in enumerate((16, 16 + 210 + 6 + 16)):
        row = picture[top : top + 210]
        assert np.array_equal(row, plain[212 * block : 212 * block + 210])
        assert (picture[top - 16 : top] > 200).any()
    with pytest.raises(RlAbnError, match=r"expected maps \[3, 1, h, w\]"):
        overlay_grid(probes, probe_maps, names=["Smiling"])


def test_overlay_grid_refuses_an_agent_without_maps(probes: np.ndarray) -> None:
    with pytest.raises(RlAbnError, match="maps"):
        overlay_grid(probes, maps(n_maps=0))


@pytest.mark.parametrize("n_cells", [1, 2, 5, 6, 7, 8, 40])
@pytest.mark.parametrize("n_blocks", [1, 2])
def test_cells_do_not_overlap(n_cells: int, n_blocks: int) -> None:
    grid, enlarge = largest_grid(n_cells, n_blocks, (210, 160), (2672, 1084))
    width, height = grid.size
    covered = np.zeros((height, width), dtype=int)
    for _, _, x, y in grid.cells():
        assert x >= 0
        assert y >= grid.label
        covered[y : y + 210 * enlarge, x : x + 160 * enlarge] += 1
    assert covered.max() == 1
    assert covered.sum() == n_cells * n_blocks * 210 * 160 * enlarge**2


def test_probe_frames_are_shown_at_twice_their_size_or_more() -> None:
    for n_cells in (6, 8):
        for n_blocks in (1, 2):
            assert largest_grid(n_cells, n_blocks, (210, 160), (2672, 1084))[1] >= 2
