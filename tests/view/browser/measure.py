"""Measures the viewer in a browser: python -m tests.view.browser.measure RUN [EPISODE].

Prints milliseconds, median and 95th percentile, for docs/performance.md: opening the newest (or
named) episode of a run in a page that has nothing yet, going on a step, dragging the slider through
steps that are there, jumping anywhere, and painting on the map until the new probabilities are
shown. Everything else on the machine should be quiet.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from rl_abn.record import Episode
from rl_abn.view.library import Library
from tests.view.browser.conftest import find_chromium

PORT = 8937
# From setting the slider until the canvas says that the step is drawn.
_SEEK = """step => new Promise(done => {
  const map = document.getElementById("map"), slider = document.getElementById("seek");
  const start = performance.now();
  const drawn = () => map.dataset.step === String(step);
  const watcher = new MutationObserver(() => {
    if (drawn()) { watcher.disconnect(); done(performance.now() - start); }
  });
  watcher.observe(map, {attributes: true});
  slider.value = step;
  slider.dispatchEvent(new Event("input"));
  if (drawn()) { watcher.disconnect(); done(performance.now() - start); }
})"""
# From a click until the answer is shown.
_INVERT = """() => new Promise(done => {
  const panel = document.querySelector(".what-if"), start = performance.now();
  let asked = false;
  const watcher = new MutationObserver(() => {
    asked ||= panel.hasAttribute("aria-busy");
    if (asked && !panel.hasAttribute("aria-busy")) {
      watcher.disconnect();
      done(performance.now() - start);
    }
  });
  watcher.observe(panel, {attributes: true});
  document.getElementById("invert").click();
})"""


def say(what: str, times: list[float]) -> None:
    """Prints a row."""
    middle, high = np.percentile(times, [50, 95])
    print(f"| {what} | {len(times)} | {middle:.0f} | {high:.0f} | {max(times):.0f} |", flush=True)


def main() -> None:
    """Serves the run in a process of its own, and measures."""
    run = Path(sys.argv[1])
    newest = max((run / "episodes").iterdir(), key=lambda path: path.stat().st_mtime)
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else newest
    n_steps = Episode(path).n_steps
    library = Library([run])
    library.refresh()
    name = next(e.id for e in library.episodes.values() if e.path.samefile(path))
    command = [sys.executable, "-m", "rl_abn", "view", str(run), "--no-browser"]
    server = subprocess.Popen([*command, "--port", str(PORT)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        time.sleep(2)
        with sync_playwright() as playwright:
            options = ["--no-sandbox", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=options)
            print(f"{n_steps:,} steps\n| what | times | median, ms | 95% | most |", flush=True)
            address = f"http://127.0.0.1:{PORT}/#e={name}&t="
            opened = []
            for t in [0] + [int(t) for t in np.linspace(0, n_steps - 1, 9)]:
                context = browser.new_context(viewport={"width": 1366, "height": 768})
                page = context.new_page()
                page.goto(f"{address}{t}")
                page.wait_for_selector(f'#map[data-step="{t}"]')
                opened.append(page.evaluate("performance.now()"))
                context.close()
            print(f"first opening: {opened[0]:.0f} ms")
            say("open in a new page", opened[1:])
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(f"{address}0")
            page.wait_for_selector('#map[data-step="0"]')
            page.wait_for_timeout(1000)
            say("next step, through 600", [page.evaluate(_SEEK, t) for t in range(1, 601)])
            page.wait_for_timeout(1000)
            rng = np.random.default_rng(0)
            near = [int(t) for t in rng.integers(520, 600, 200)]
            say("scrub through what is there", [page.evaluate(_SEEK, t) for t in near if t])
            far = [int(t) for t in rng.integers(n_steps, size=100)]
            say("jump anywhere", [page.evaluate(_SEEK, t) for t in far])
            page.keyboard.press("w")
            page.wait_for_selector(".what-if:not([aria-busy])")
            page.evaluate(_INVERT)
            say("what if: invert the map", [page.evaluate(_INVERT) for _ in range(50)])
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
