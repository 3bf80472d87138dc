"""Atari-HEAD's trials are read, and what is none of them is refused in a line."""

import bz2
import io
import tarfile

import numpy as np
import pytest

from rl_abn.errors import RlAbnError
from rl_abn.rl.evaluation import atari_head
from rl_abn.rl.evaluation.atari_head import (
    check_game,
    find_tables,
    read_pictures,
    read_trial,
    stamp_of,
)
from tests.rl.evaluation.gazed import HEADER, add, moving_object, png, write_trial

TABLE = f"""{HEADER}
RZ_1_1,0,0,50,0,0,80.5,105.25,81.0,106.0
RZ_1_2,0,0,50,0,0,null
RZ_1_3,1,10,50,10,3,-5.0,20.0,12.0,30.0

RZ_1_4,null,null,null,null,null,400.0,20.0
"""


def table_of(folder, text=TABLE):
    """A table whose frames are not looked at."""
    (folder / "trial").mkdir(exist_ok=True)
    (folder / "trial.txt").write_text(text)
    return folder / "trial.txt"


def test_tables_are_read(tmp_path):
    trial = read_trial(table_of(tmp_path), 10)
    assert [frame.name for frame in trial.frames] == ["RZ_1_1", "RZ_1_2", "RZ_1_3", "RZ_1_4"]
    assert [frame.episode for frame in trial.frames] == ["0", "0", "1", "null"]
    assert trial.frames[0].positions.tolist() == [[80.5, 105.25], [81.0, 106.0]]
    # What is off the screen is left out; a frame without a gaze is still a frame.
    assert trial.frames[2].positions.tolist() == [[12.0, 30.0]]
    assert trial.frames[1].positions.shape == trial.frames[3].positions.shape == (0, 2)
    assert len(read_trial(table_of(tmp_path), 2).frames) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\n", "expected a first line that begins with 'frame_id'"),
        (HEADER + "\n\n", "expected a line a frame, got none"),
        (TABLE + "RZ_1_5,0,0,50,0,0,1.0\n", "line 7: expected pairs of x and y"),
        (TABLE + "RZ_1_5,0,0,50,0,0,a,b\n", "line 7: expected pairs of x and y"),
        (TABLE + "../../x,0,0,50,0,0,1,1\n", "line 7: expected the name of a frame, got '../../x'"),
    ],
)
def test_damaged_tables(tmp_path, text, said):
    with pytest.raises(RlAbnError, match=said):
        read_trial(table_of(tmp_path, text), 100)
    with pytest.raises(RlAbnError, match="expected a table of Atari-HEAD, got No such file"):
        read_trial(tmp_path / "none.txt", 100)


@pytest.mark.parametrize("unpacked", [True, False])
def test_frames_are_those_of_the_table(tmp_path, unpacked):
    frames, centres = moving_object(6)
    table = write_trial(tmp_path, frames, centres[:, None], unpacked=unpacked)
    trial = read_trial(table, 100)
    names = [frame.name for frame in trial.frames]
    picture = read_pictures(trial, names)
    for name, frame in zip(names, frames, strict=True):
        np.testing.assert_array_equal(picture(name), frame)
    source = trial.source
    assert source.is_dir() == unpacked
    # However it is named, it is this trial.
    assert find_tables(tmp_path) == find_tables(table) == [table]
    assert find_tables(source) == [table]


def test_a_stamp_is_of_table_and_frames(tmp_path):
    frames, centres = moving_object(3)
    table = write_trial(tmp_path, frames, centres[:, None], unpacked=True)
    before = stamp_of(read_trial(table, 9))
    assert stamp_of(read_trial(table, 9)) == before
    (read_trial(table, 9).source / "RZ_7_2.png").write_bytes(png(frames[0][:, :, ::-1]) + b"\0")
    assert stamp_of(read_trial(table, 9)) != before


def test_where_no_trials_are(tmp_path):
    (tmp_path / "README.txt").write_text("a data set")
    with pytest.raises(RlAbnError, match=r"got none in '.*'$"):
        find_tables(tmp_path)
    frames, centres = moving_object(2)
    write_trial(tmp_path / "breakout", frames, centres[:, None])
    with pytest.raises(RlAbnError, match=r"did you mean '.*breakout'"):
        find_tables(tmp_path)
    with pytest.raises(RlAbnError, match="did you mean 'breakout'"):
        find_tables(tmp_path / "breakuot")


def test_another_game_is_told_by_its_folder(tmp_path):
    check_game(tmp_path / "ms_pacman" / "1.txt", "ms_pacman", "Ms. Pac-Man")
    check_game(tmp_path / "my trials" / "1.txt", "ms_pacman", "Ms. Pac-Man")
    with pytest.raises(RlAbnError, match=r"trials of Ms\. Pac-Man, .* got those of 'Breakout'"):
        check_game(tmp_path / "Breakout" / "1.txt", "ms_pacman", "Ms. Pac-Man")


def test_frames_that_are_not_there(tmp_path):
    frames, centres = moving_object(3)
    table = write_trial(tmp_path, frames, centres[:, None])
    table.write_text(table.read_text() + "RZ_7_4,0,0,50,0,0,1,1\nRZ_7_5,0,0,50,0,0,1,1\n")
    trial = read_trial(table, 10)
    with pytest.raises(RlAbnError, match=r"got no RZ_7_4\.png nor 1 others"):
        read_pictures(trial, [frame.name for frame in trial.frames])
    trial.source.unlink()
    with pytest.raises(RlAbnError, match=r"its frames beside it, in .* got neither"):
        read_trial(table, 10)


def test_a_frame_of_another_size_or_none(tmp_path):
    frames, centres = moving_object(2)
    table = write_trial(tmp_path, [frames[0], frames[1][:, :100]], centres[:, None])
    picture = read_pictures(read_trial(table, 10), ["RZ_7_1", "RZ_7_2"])
    with pytest.raises(RlAbnError, match="a frame of 160×210 pixels, got 100×210"):
        picture("RZ_7_2")
    with tarfile.open(table.with_suffix(".tar.bz2"), "w:bz2") as tar:
        add(tar, "RZ_7_1.png", png(frames[0])[:-20])
    with pytest.raises(RlAbnError, match=r"RZ_7_1\.png: expected a picture, got a damaged"):
        read_pictures(read_trial(table, 10), ["RZ_7_1"])("RZ_7_1")


def archive_with(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:bz2") as tar:
        for info, content in members:
            info.size = info.size or len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def hostile() -> dict[str, tuple[bytes, str]]:
    whole = archive_with((member("RZ_7_9.png"), bytes(range(256)) * 400))
    return {
        "no archive": (b"hello", "expected an archive of frames, got"),
        "empty": (b"", "expected the frames of the table|got one that is cut off|got empty"),
        "cut off": (whole[: len(whole) // 2], "got one that is cut off"),
        "no tar": (bz2.compress(b"x" * 5000), "expected an archive of frames, got"),
        "outside": (
            archive_with((member("../../RZ_7_1.png"), b"x")),
            "a member that leads outside",
        ),
        "absolute": (archive_with((member("/RZ_7_1.png"), b"x")), "a member that leads outside"),
        "link": (
            archive_with((member("RZ_7_1.png", tarfile.SYMTYPE, "/etc/passwd"), b"")),
            "a member that is no file",
        ),
        "large frame": (
            archive_with((member("RZ_7_1.png"), bytes(2**20 + 1))),
            r"got RZ_7_1\.png of 1,048,577 bytes",
        ),
        "bomb": (
            archive_with((member("other"), bytes(17 * 2**20)), (member("RZ_7_1.png"), b"x")),
            "got a member of more than 16,777,216 bytes",
        ),
    }


@pytest.mark.parametrize("kind", hostile())
def test_archives_that_mean_no_good(tmp_path, kind):
    frames, centres = moving_object(1)
    table = write_trial(tmp_path, frames, centres[:, None])
    data, said = hostile()[kind]
    table.with_suffix(".tar.bz2").write_bytes(data)
    with pytest.raises(RlAbnError, match=said):
        read_pictures(read_trial(table, 10), ["RZ_7_1"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "52_RZ_7_Aug-10.tar.bz2",
        "52_RZ_7_Aug-10.txt",
    ]


def test_an_archive_of_too_much(tmp_path, monkeypatch):
    frames, centres = moving_object(4)
    table = write_trial(tmp_path, frames, centres[:, None])
    trial = read_trial(table, 10)
    monkeypatch.setattr(atari_head, "_MOST_MEMBERS", 2)
    with pytest.raises(RlAbnError, match="got more than 2 members"):
        read_pictures(trial, [frame.name for frame in trial.frames])
    monkeypatch.setattr(atari_head, "_MOST_ARCHIVE_BYTES", 1000)
    with pytest.raises(RlAbnError, match="got more than 1,000 bytes"):
        read_pictures(trial, [frame.name for frame in trial.frames])
