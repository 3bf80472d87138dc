import json

import pytest

from rl_abn.rl.evaluation.comparison import Shown, titles_of
from rl_abn.rl.evaluation.title import how_it_relied, title_of
from rl_abn.runs import METRICS
from tests.rl.evaluation.recorded import STEP, make_run, record


class Folder:
    def __init__(self, path):
        self.path = path


@pytest.mark.parametrize(
    ("step", "said"),
    [(50, ""), (100, ", map reliance 0.012 nats"), (250, ", map reliance 0.300 nats")],
)
def test_the_title_says_the_reliance_that_was_logged_last(tmp_path, step, said):
    rows = [
        {"step": 50, "attention/shared_map_mean": 0.5},
        {"step": 100, "attention/reliance_swap": 0.0123},
        {"step": 200, "attention/reliance_swap": 0.3},
        {"step": 250, "attention/reliance_swap": None},
        {"step": 300, "attention/reliance_swap": 0.9},
    ]
    (tmp_path / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert how_it_relied(Folder(tmp_path), step) == said


def test_nothing_logged_is_nothing_said(tmp_path):
    assert how_it_relied(Folder(tmp_path), 100) == ""


def test_a_greedy_game_is_called_so(tmp_path):
    run = make_run(tmp_path / "agent")
    sampled, greedy = (record(run, max_steps=2, greedy=greedy) for greedy in (False, True))
    assert sampled.meta.title == title_of(run, STEP)
    assert sampled.meta.title.startswith("ppo_abn_paper on Space Invaders, ")
    assert greedy.meta.title.startswith("ppo_abn_paper (greedy) on Space Invaders, ")
    said = title_of(run, STEP, "uniform", greedy=True)
    assert said.startswith("ppo_abn_paper (greedy, maps: uniform) on ")
    titles = titles_of([sampled, greedy], [Shown(sampled), Shown(greedy)])
    assert [", greedy, " in title for title in titles] == [False, True]
