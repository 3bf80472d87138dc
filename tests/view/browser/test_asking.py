"""What if, futures and edits in a browser."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.map_editing.edit_files import read_edits
from rl_abn.record import Episode
from rl_abn.rl.evaluation.replay import Replay, player_of

OWN, EDITED = ".answer td.number.acting", ".answer td.number.edited"


def test_painting_changes_the_probabilities_at_once(watch, episodes):
    page = watch(40)
    page.ask()
    own = page.numbers(OWN)
    assert own == pytest.approx(episodes[0].step(40)["probabilities"].tolist(), abs=1e-5)
    assert np.isnan(page.numbers(EDITED)).all()
    before = page.pixels("map")
    corner, middle = page.place(0, 0, 9, 9), page.place(4, 4, 9, 9)
    answer = page.answered(lambda: page.drag(corner, middle))
    assert page.numbers(EDITED) == pytest.approx(answer["probabilities"])
    assert answer["kl"] > 0
    assert page.numbers(EDITED) != page.numbers(OWN)
    assert not np.array_equal(page.pixels("map"), before)
    assert page.text("#what-if-value").endswith(")")
    # The places under the brush are full, and those far away are the agent's own.
    painted = np.array(answer["maps"]["shared"])
    assert painted[4, 4] == painted[0, 0] == 1.0
    assert painted[8, 8] == pytest.approx(float(episodes[0].step(40)["maps"][0, 8, 8]), abs=1e-3)
    page.answered(lambda: page.press("Control+z"))
    assert np.isnan(page.numbers(EDITED)).all()
    assert np.array_equal(page.pixels("map"), before)
    again = page.answered(lambda: page.press("Control+y"))
    assert again["probabilities"] == answer["probabilities"]


@pytest.mark.parametrize(
    ("button", "change"),
    [
        ("#invert", lambda own: 1 - own),
        pytest.param("#flatten", lambda own: np.full_like(own, own.mean()), marks=pytest.mark.full),
    ],
)
def test_whole_maps_are_changed(watch, episodes, button, change):
    page = watch(20)
    page.ask()
    answer = page.answered(lambda: page.raw.click(button))
    own = episodes[0].step(20)["maps"][0].astype(np.float32)
    assert np.array(answer["maps"]["shared"]) == pytest.approx(change(own), abs=1e-3)
    page.answered(lambda: page.raw.click("#reset"))
    assert page.text("#what-if-kl") == "–"


def test_a_map_is_moved_and_lowered(watch, episodes):
    page = watch(20)
    page.ask()
    own = episodes[0].step(20)["maps"][0].astype(np.float32)
    page.press("3")
    answer = page.answered(lambda: page.drag(page.place(2, 2, 9, 9), page.place(4, 3, 9, 9)))
    moved = np.roll(own, (2, 1), (0, 1))
    assert np.array(answer["maps"]["shared"]) == pytest.approx(moved, abs=1e-3)
    page.press("2")
    answer = page.answered(lambda: page.drag(page.place(8, 8, 9, 9), page.place(8, 8, 9, 9)))
    assert answer["maps"]["shared"][8][8] == 0


def test_one_of_two_maps_is_painted_by_keyboard(watch, episodes):
    page = watch(66, episodes[1])
    page.ask()
    page.raw.check("input[value=map-value]", force=True)
    page.press("p", "ArrowUp", "ArrowLeft")
    answer = page.answered(lambda: page.press("Space"))
    maps = {name: np.array(rows) for name, rows in answer["maps"].items()}
    own = episodes[1].step(66)["maps"].astype(np.float32)
    assert maps["policy"] == pytest.approx(own[0], abs=1e-3)
    assert maps["value"][2, 2] == 1.0
    assert answer["probabilities"] == pytest.approx(answer["own"]["probabilities"], abs=1e-6)
    assert answer["value"] != answer["own"]["value"]
    page.press("Escape")
    assert not page.raw.is_visible(".what-if")


def test_edits_stay_with_their_steps_and_are_saved(watch, served):
    page = watch(10)
    page.ask()
    page.answered(lambda: page.raw.click("#invert"))
    page.answered(lambda: page.seek(12))
    assert page.text("#what-if-kl") == "–"
    page.answered(lambda: page.raw.click("#flatten"))
    page.answered(lambda: page.seek(10))
    assert page.text("#what-if-kl") != "–"
    page.raw.fill("#edits-name", "mine")
    page.raw.click("#save-edit")
    command = page.text("#next-command")
    assert command.startswith("rl-abn train ")
    assert "--edits" in command
    folder = next(served.folder.rglob("mine/edits.toml")).parent
    assert len(read_edits(folder).of) == 2


@pytest.mark.more
def test_futures_are_played_compared_and_watched(watch, served, episodes):
    page = watch(40)
    page.ask()
    page.answered(lambda: page.raw.click("#invert"))
    page.raw.select_option("#futures-how", "always")
    for name, value in (("count", 2), ("steps", 12), ("seed", 5)):
        page.raw.fill(f"#futures-{name}", str(value))
    page.raw.click("#futures-go")
    page.raw.wait_for_selector('.futures[data-done="2"]', timeout=60_000)
    said = page.text("#futures-said")
    assert said.startswith("In 2 futures a side, the edited map scores ")
    label = page.raw.get_attribute(".futures-chart canvas", "aria-label")
    assert "own: mean" in label
    page.raw.click(".pair >> nth=1")
    page.raw.wait_for_selector('#map-2[data-step="0"]')
    page.press("o")
    names = dict(part.split("=") for part in page.raw.url.split("#")[1].split("&"))
    for canvas, name in (("map-1", names["e"]), ("map-2", names["e2"])):
        future = Episode(served.library.episode(name).path)
        replay = Replay(episodes[0], player_of(episodes[0]))
        replay.go_to(40)
        for step in range(future.n_steps):
            page.raw.locator("#seek").fill(str(step))
            page.at_step(step, canvas)
            assert np.array_equal(page.pixels(canvas), replay.env.frame)
            replay.play(int(future.numbers("action")[step]))
    page.raw.go_back()
    page.at_step(40)
    assert page.text("#futures-said") == said  # what was played is still there


@pytest.mark.more
def test_a_box_is_never_looked_at(watch, episodes):
    page = watch(30)
    page.ask()
    page.press("4")
    answer = page.answered(lambda: page.drag(page.place(6, 1, 9, 9), page.place(7, 3, 9, 9)))
    shown = np.array(answer["maps"]["shared"])
    assert (shown[6:8, 1:4] == 0).all()
    own = episodes[0].step(30)["maps"][0].astype(np.float32)
    shown[6:8, 1:4] = own[6:8, 1:4]
    assert shown == pytest.approx(own, abs=1e-3)
    page.raw.select_option("#futures-how", "steps")
    for name, value in (("n", 3), ("count", 1), ("steps", 6)):
        page.raw.fill(f"#futures-{name}", str(value))
    with page.raw.expect_request("**/futures") as asked:
        page.raw.click("#futures-go")
    edit = asked.value.post_data_json["edit"]
    assert edit == {
        "map": None,
        "how": "steps",
        "n": 3,
        "rule": {"kind": "never_look_at", "box": [1, 6, 4, 8]},
    }
    page.raw.wait_for_selector('.futures[data-done="1"]', timeout=60_000)
    assert "One pair says little" in page.text("#futures-said")


@pytest.mark.full
def test_map_reliance_is_measured(watch):
    page = watch(5)
    page.raw.click("text=Measure map reliance")
    page.raw.wait_for_selector(".reliance td", timeout=60_000)
    names = page.raw.locator(".reliance td").evaluate_all("cells => cells.map(c => c.dataset.name)")
    assert {"uniform", "time_average", "swap"} <= set(names)


def test_an_intervention_takes_the_place_of_the_map(watch, episodes):
    page = watch(20)
    page.ask()
    before = page.pixels("map")
    answer = page.answered(lambda: page.raw.select_option("#instead", "uniform"))
    own = episodes[0].step(20)["maps"][0].astype(np.float32)
    assert np.array(answer["maps"]["shared"]) == pytest.approx(own.mean(), abs=1e-3)
    page.raw.wait_for_function("document.querySelector('.range').textContent.includes('every')")
    assert not np.array_equal(page.pixels("map"), before)
    # A stroke is a painted map again.
    answer = page.answered(lambda: page.drag(page.place(4, 4, 9, 9), page.place(4, 4, 9, 9)))
    assert answer["maps"]["shared"][4][4] == 1
    assert page.raw.input_value("#instead") == ""


def test_an_edit_takes_the_place_of_an_intervention(watch, episodes):
    """By keys too: what is acted on is what is shown."""
    page = watch(21)
    page.ask()
    own = episodes[0].step(21)["maps"][0].astype(np.float32)
    page.answered(lambda: page.raw.select_option("#instead", "uniform"))
    page.press("Control+z")  # there is nothing to undo
    assert page.raw.input_value("#instead") == "uniform"
    answer = page.answered(lambda: page.press("i"))
    assert np.array(answer["maps"]["shared"]) == pytest.approx(1 - own, abs=1e-3)
    assert page.raw.input_value("#instead") == ""
    for key, expected in (("Control+z", own), ("Control+y", 1 - own)):
        page.answered(lambda: page.raw.select_option("#instead", "uniform"))
        answer = page.answered(lambda key=key: page.press(key))
        assert page.raw.input_value("#instead") == ""
        assert np.array(answer["maps"]["shared"]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.more
def test_what_was_played_says_from_where_and_with_what(watch):
    page = watch(41)
    page.ask()
    page.answered(lambda: page.raw.select_option("#instead", "time_average"))
    page.raw.check("#futures-greedy")
    page.raw.fill("#futures-steps", "5")
    page.raw.click("#futures-go")
    page.raw.wait_for_selector('.futures[data-done="1"]', timeout=60_000)
    said = "From step 41: time average, at this step alone."
    assert page.text("#futures-of") == said
    # One game a side, however many were asked for: others would be the same.
    assert page.text("#futures-said").startswith("In one future a side, the edited map scores ")
    assert page.text("#futures-said").endswith("nothing is left to chance.")
    assert page.raw.locator(".pair").count() == 1
    page.answered(lambda: page.raw.select_option("#instead", "zero"))
    page.answered(lambda: page.seek(44))
    assert page.text("#futures-of") == said


@pytest.mark.more
def test_measuring_map_reliance_stops(watch, open_page, monkeypatch):
    from rl_abn.view import asking

    def measure(episode, run, job):
        while True:
            job.update(3)

    monkeypatch.setattr(asking, "episode_reliance", measure)
    page = watch(6)
    page.raw.click("#measure")
    page.raw.wait_for_selector(".reliance:has-text('measuring: 3 of 100 steps')")
    # Other work says what is in its way.
    page.ask()
    page.answered(lambda: page.raw.click("#invert"))
    page.raw.click("#futures-go")
    page.raw.wait_for_selector("#futures-said:has-text('measuring map reliance')")
    assert all("409" in line for line in open_page.said)
    open_page.said.clear()
    page.press("w")
    assert page.text("#measure") == "Stop"
    page.raw.click("#measure")
    page.raw.wait_for_selector(".reliance:has-text('stopped')")
    assert page.text("#measure") == "Measure map reliance"
