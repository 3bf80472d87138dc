"""What the measurements come to, on disk and in tables."""

from __future__ import annotations

import json

import pytest

from rl_abn.bench.result import Result
from rl_abn.bench.sheets import markdown, sheets
from rl_abn.errors import RlAbnError


def row(result, name):
    return result.row(next(c for c in result.contenders if c.name == name))


def test_a_row_is_summed_up(result):
    summed = row(result, "ppo_abn")
    assert summed.sps == (500, 500, 500)
    assert summed.ratios == {"sb3_ppo": (2.5, 2.0, 3.0)}
    assert summed.peak_rss_mib == 500
    assert summed.peak_cuda_mib is None
    assert sum(summed.shares.values()) == 1
    assert (summed.failure, summed.n_failed) == (None, 1)


def test_a_row_without_a_measurement_says_why(result):
    summed = row(result, "envpool")
    assert summed.failure == "not installed"
    assert (summed.sps, summed.ratios, summed.shares) == (None, {}, {})


def test_a_baseline_that_was_not_measured_gives_no_ratio(result):
    assert "sb3_ppo_passive" not in row(result, "ppo_abn").ratios
    assert row(result, "sb3_ppo").ratios == {}


def test_json_round_trip(result, tmp_path):
    path = tmp_path / "new" / "bench.json"
    result.write(path)
    assert Result.read(path) == result
    data = json.loads(path.read_text())
    assert len(data["measurements"]) == 9
    assert data["summary"]["ppo_abn"]["ratios"]["sb3_ppo"] == {"median": 2.5, "low": 2, "high": 3}


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"format": "else"}'])
def test_other_files_are_refused_in_one_line(text, tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(RlAbnError, match=r"bench\.json") as error:
        Result.read(path)
    assert "\n" not in str(error.value)


def test_a_sheet_a_group_and_one_for_the_time(result):
    assert [sheet.title.partition(":")[0] for sheet in sheets(result)] == [
        "emulator",
        "ppo",
        "logging",
        "where the time goes",
    ]
    for sheet in sheets(result):
        assert {len(words) for words in sheet.rows} == {len(sheet.headings)}


def test_markdown(result):
    text = markdown(result)
    assert text.startswith("- A Processor, 4 cores; device CPU; torch 2.13.0, ")
    assert "| row | what it is | steps/s | × sb3_ppo | MiB |\n" in text
    assert "| `sb3_ppo` | SB3's PPO, rl-zoo's settings, as its users run it |" in text
    assert " 200 [167 to 250] | - | 500 |\n" in text
    assert "| `ppo_abn` | ppo_abn as it comes | 500 | 2.50 [2.00 to 3.00] | 500 |\n" in text
    assert "| not installed | - |" in text
    assert "\nppo_abn: 1 measurements failed.\n" in text
    assert "take 1.25% of the time by the clock, 20.0% by steps/s." in text
    assert "| 50% | 25% | 12% | 6% | 6% |" in text
