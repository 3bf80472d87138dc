"""Watching a game in a browser."""

from __future__ import annotations

import numpy as np
import pytest

from rl_abn.render import overlay
from tests.view.browser.conftest import N_STEPS

LAST = N_STEPS - 1


def test_every_step_shows_its_own_screen(watch, episodes):
    page = watch()
    page.press("o")  # the map's picture is the screen then, too
    for step in (0, LAST, 64, 63, 41, 40):
        page.seek(step)
        assert np.array_equal(page.pixels("screen"), episodes[0].frame(step))
        assert np.array_equal(page.pixels("map"), episodes[0].frame(step))


def test_maps_are_lit_as_in_videos(watch, episodes):
    page = watch(70)
    episode = episodes[0]
    own = overlay(episode.frame(70), episode.step(70)["maps"][0].astype(np.float32))
    different = np.abs(page.pixels("map").astype(int) - own)
    assert different.max() <= 3
    assert different.mean() < 0.5
    assert (page.text("#scale-low"), page.text("#scale-high")) == ("0", "1")
    page.press("f")
    low, high = page.text("#scale-low"), page.text("#scale-high")
    values = episode.step(70)["maps"].astype(float)
    assert float(low) == pytest.approx(values.min(), abs=0.006)
    assert float(high) == pytest.approx(values.max(), abs=0.006)


def test_all_layers_can_be_chosen(watch, episodes):
    page = watch(30)
    names = ["map-shared", *(f"evidence-{i}" for i in range(7))]
    seen = []
    for name in names:
        assert page.raw.locator("#map").get_attribute("data-layer") == name
        assert page.raw.locator(f"#layer-{name}").get_attribute("aria-pressed") == "true"
        seen.append(page.pixels("map").tobytes())
        page.press("m")
    assert len(set(seen)) == len(seen)
    page.raw.click("#layer-evidence-2")
    assert page.raw.locator("#map").get_attribute("data-layer") == "evidence-2"
    assert page.text(".mapview figcaption strong") == "For RIGHT"


def test_two_maps_of_an_agent(watch, episodes):
    page = watch(66, episodes[1])
    maps = episodes[1].step(66)["maps"].astype(np.float32)
    for which, name in enumerate(("policy", "value")):
        assert page.raw.locator("#map").get_attribute("data-layer") == f"map-{name}"
        own = overlay(episodes[1].frame(66), maps[which])
        assert np.abs(page.pixels("map").astype(int) - own).max() <= 3
        page.press("m")


def test_the_numbers_are_those_of_the_step(watch, episodes):
    page, episode = watch(), episodes[0]
    for step in (0, 80):
        page.seek(step)
        known = episode.step(step)
        for tone, name in (("acting", "probabilities"), ("branch", "branch_probabilities")):
            shown = page.numbers(f".viewer .side td.number.{tone}")
            assert shown == pytest.approx(known[name].tolist(), abs=1e-6)
        taken = page.text(".side tr.taken th")
        assert taken == episode.meta.action_names[known["action"]]
        assert float(page.text("#number-score").replace(",", "")) == known["score"]
        assert float(page.text("#number-value").replace("−", "-")) == pytest.approx(
            float(known["value"]), rel=0.01
        )


def test_it_plays_to_the_end_and_pauses(watch):
    page = watch(60)
    page.press("]", "]", "]")
    assert page.text(".speed") == "8×"
    page.press("Space")
    assert page.raw.get_attribute("#play", "aria-label") == "Pause"
    page.at_step(LAST)
    page.raw.wait_for_selector('#play[aria-label="Play"]')
    page.press("Space")  # from the first step on
    page.raw.wait_for_function("document.querySelector('#map').dataset.step < 60")
    page.press("Space")
    assert page.raw.get_attribute("#play", "aria-label") == "Play"
    assert page.shown_step() < LAST


def test_a_click_on_a_curve_goes_there(watch):
    page = watch()
    box = page.raw.locator(".lane-canvas canvas").bounding_box()
    x = round(box["x"] + 0.6 * box["width"])
    page.raw.mouse.click(x, box["y"] + 5)
    expected = round((x - box["x"] - 8) / (box["width"] - 16) * LAST)
    page.at_step(expected)
    page.drag((x, box["y"] + 30), (box["x"] + 8, box["y"] + 30))
    page.at_step(0)


def test_curves_zoom_and_can_be_chosen(watch, served, episodes):
    page = watch(50)
    lanes = ["Value", "Reward", "Advantage", "Entropy", "Contrast"]
    assert page.raw.locator(".lane-labels .lane-label span").all_inner_texts() == lanes
    page.press("+")
    slider = page.raw.locator("#seek")
    low, high = (int(slider.get_attribute(side)) for side in ("min", "max"))
    assert (high - low) == pytest.approx(LAST / 2, abs=1)
    page.press("Home")
    page.at_step(0)
    page.press("-")
    page.raw.click("text=Curves")
    page.raw.click(".timeline label:has-text('Branch differs')")
    texts = page.raw.locator(".lane-labels .lane-label").all_inner_texts()
    assert texts[-1].startswith("Branch differs")
    known = served.ask(episodes[0], "curves")["disagreement"][0]
    assert float(texts[-1].split()[-1].replace("e−", "e-")) == pytest.approx(known, rel=0.1)


def test_bookmarks_lead_to_their_steps(watch, served, episodes):
    page = watch()
    steps = sorted({found["step"] for found in served.ask(episodes[0], "highlights")})
    assert len(steps) > 3
    for step in [step for step in steps if step > 0][:3]:
        page.press("b")
        page.at_step(step)
    page.press("Shift+B")
    page.raw.click("text=/Bookmarks/")
    page.raw.click(".bookmark >> nth=-1")
    page.at_step(steps[-1])


def test_deep_links(watch, served, episodes):
    page = watch(70)
    name = served.id_of(episodes[0])
    page.press("ArrowRight")
    page.raw.wait_for_url(f"**/#e={name}&t=71")
    page.raw.evaluate(f"location.hash = '#e={name}&t=3'")
    page.at_step(3)
    page.raw.reload()
    page.at_step(3)


@pytest.mark.full
def test_what_is_not_there_is_said_in_a_line(served, open_page):
    page = open_page(f"{served.address}#e=0000")
    assert page.text("[role=alert]") == "expected what this server serves, got an unknown id"
    assert "404" in open_page.said.pop()
    while open_page.said:
        assert "404" in open_page.said.pop()


def test_values_and_objects_under_the_pointer(watch, episodes):
    page, episode = watch(50), episodes[0]
    aliens = np.argwhere((episode.frame(50) == (134, 134, 29)).all(axis=2))
    y, x = aliens[len(aliens) // 2]
    box = page.raw.locator("#map").bounding_box()
    zoom = box["width"] / 160
    page.raw.mouse.move(box["x"] + (x + 0.5) * zoom, box["y"] + (y + 0.5) * zoom)
    said = page.text("#map-readout")
    row, column = y * 9 // 210, x * 9 // 160
    assert said.startswith(f"x {x}, y {y} · row {row}, column {column} · value ")
    value = float(said.split("value ")[1].split(" ")[0])
    assert value == pytest.approx(float(episode.step(50)["maps"][0, row, column]), abs=1e-3)
    assert said.endswith(" · aliens")
    before = page.raw.locator(".game .lines").screenshot()
    page.press("l")
    assert page.raw.locator(".game .lines").screenshot() != before


def test_the_keyboard_does_everything(watch, episodes):
    page = watch()
    page.press("ArrowRight", "ArrowRight", "ArrowLeft")
    page.at_step(1)
    page.press("Shift+ArrowRight")
    page.at_step(11)
    page.press("End")
    page.at_step(LAST)
    page.press("Shift+ArrowLeft")
    page.at_step(LAST - 10)
    page.press("Home")
    page.at_step(0)
    page.press("o")
    assert np.array_equal(page.pixels("map"), episodes[0].frame(0))
    page.press("o", "?")
    assert page.raw.locator("dialog[open] dt").count() > 10
    page.press("ArrowRight")  # is the dialog's
    assert page.shown_step() == 0
    page.press("Escape")
    assert page.raw.locator("dialog[open]").count() == 0
    seen = set()
    for _ in range(60):  # every control can be reached, and says what it is
        page.press("Tab")
        seen.add(
            page.raw.evaluate(
                "(a => a.id || a.getAttribute('aria-label') || a.textContent)"
                "(document.activeElement)"
            )
        )
    assert {"overlay", "opacity", "play", "seek", "step", "what-if", "layer-map-shared"} <= seen


@pytest.mark.more
def test_steps_of_a_chunk_that_is_there_are_drawn_at_once(watch):
    """Without a request, and before the browser does anything else."""
    page = watch(64)
    page.seek(10)
    requests = []
    page.raw.on("request", lambda request: requests.append(request.url))
    late = page.raw.evaluate(
        """() => {
          const [slider, map] = ["#seek", "#map"].map(name => document.querySelector(name));
          const late = [];
          for (let step = 11; step < 100; step++) {
            slider.value = step;
            slider.dispatchEvent(new Event("input"));
            if (map.dataset.step !== String(step)) late.push(step);
          }
          return late;
        }"""
    )
    assert late == []
    assert requests == []
