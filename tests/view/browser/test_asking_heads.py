"""What if the maps of several heads, of past steps, or of channels and places were others."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rl.evaluation.recorded import make_run, record
from tests.view.browser.test_asking import EDITED, OWN
from tests.view.browser.test_pages import audit

STEP = 30


@pytest.fixture
def asked(served, open_page):
    """Opens a game of an agent at a step, and what-if."""

    def asked(agent, layer):
        run = make_run(served.folder / agent, agent, "pong")
        episode = record(run, max_steps=STEP + 2)
        served.library.refresh()
        page = open_page(f"{served.address}#e={served.id_of(episode)}&t={STEP}")
        page.at_step(STEP, "screen")
        if layer:
            page.raw.locator(f"#layer-map-shared{layer}").click()
        page.ask()
        return page, episode.step(STEP)["maps"][0].astype(np.float32)

    return asked


def changed_rows(answer, own):
    """Rows of a map that are not the agent's own, and the map."""
    map_ = np.array(answer["maps"]["shared"])
    assert map_.shape == own.shape
    return np.flatnonzero(np.abs(map_ - own).max(axis=1) > 2e-3).tolist(), map_


@pytest.mark.more
def test_a_place_of_one_head_looks_elsewhere(asked):
    page, own = asked("ppo_transformer", "-head-2")
    n = own.shape[1]
    side = round(n**0.5)
    assert own.shape == (4 * n, n)
    from_place = n // 2  # the middle, which painting does not change
    answer = page.answered(
        lambda: page.drag(page.place(0, 0, side, side), page.place(0, side - 1, side, side))
    )
    rows, map_ = changed_rows(answer, own)
    assert rows == [n + from_place]
    assert map_.sum(axis=1) == pytest.approx(np.ones(4 * n), abs=1e-3)
    assert map_[n + from_place, 0] > own[n + from_place, 0] + 0.01
    assert page.numbers(EDITED) == pytest.approx(answer["probabilities"])
    answer = page.answered(lambda: page.raw.click("#flatten"))
    assert np.array(answer["maps"]["shared"])[n + from_place] == pytest.approx(1 / n, abs=1e-4)
    page.raw.keyboard.down("Shift")
    page.drag(page.place(0, 1, side, side))
    page.raw.keyboard.up("Shift")
    answer = page.answered(lambda: page.raw.click("#invert"))
    assert changed_rows(answer, own)[0] == [n + 1, n + from_place]
    # The mean over the heads shows the edit, too; it is no map that could be painted.
    page.press("M", "M")
    assert page.text(".mapview figcaption strong").startswith("All heads")
    assert page.numbers(EDITED) == pytest.approx(answer["probabilities"])
    answer = page.answered(lambda: page.raw.click("#flatten"))
    assert np.array(answer["maps"]["shared"]) == pytest.approx(1 / n, abs=1e-4)  # of all heads
    answer = page.answered(lambda: page.raw.select_option("#instead", "uniform"))
    assert np.array(answer["maps"]["shared"]) == pytest.approx(1 / n, abs=1e-4)
    assert answer["kl"] > 0
    assert page.raw.locator("#save-edit").count() == 0
    assert audit(page) == []


@pytest.mark.more
def test_one_head_looks_at_another_step(asked):
    page, own = asked("ppo_causal", "-head-3")
    assert own.shape == (64, 1)
    before = page.text("#map-readout")
    boxes = page.raw.locator("canvas.bars").bounding_box()
    at = boxes["x"] + 40, boxes["y"] + 40  # on the first screen, the oldest step
    answer = page.answered(lambda: page.drag(at, at))
    rows, map_ = changed_rows(answer, own)
    assert set(rows) <= set(range(32, 48))
    assert 32 in rows
    sums = map_.reshape(4, 16).sum(axis=1)
    assert sums == pytest.approx(np.full(4, 0.25), abs=1e-3)
    assert page.numbers(EDITED) == pytest.approx(answer["probabilities"])
    assert page.text("#map-readout") != before
    answer = page.answered(lambda: page.raw.click("#flatten"))
    assert np.array(answer["maps"]["shared"])[32:48] == pytest.approx(1 / 64, abs=1e-4)
    # By keys: the last but one step of the same head.
    page.press("p", "ArrowRight", "ArrowLeft")
    assert "1 ago" in page.text("#map-readout")
    answer = page.answered(lambda: page.press("ArrowUp"))
    raised = np.array(answer["maps"]["shared"])[32:48]
    assert raised.argmax() == 14
    assert raised.sum() == pytest.approx(0.25, abs=1e-3)
    page.press("ArrowUp", "ArrowDown", "Home")
    assert "15 ago" in page.text("#map-readout")
    assert audit(page) == []


@pytest.mark.more
def test_a_map_that_cannot_be_painted_is_replaced_whole(asked):
    page, own = asked("ppo_ram", "")
    assert page.raw.locator("#undo").count() == 0
    assert page.numbers(OWN)
    shown = page.pixels("map")
    answer = page.answered(lambda: page.raw.select_option("#instead", "shifted"))
    assert np.array(answer["maps"]["shared"]).shape == own.shape
    assert page.numbers(EDITED) == pytest.approx(answer["probabilities"])
    assert not np.array_equal(page.pixels("map"), shown)
    assert audit(page) == []
