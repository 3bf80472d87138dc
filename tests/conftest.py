"""Three sets of tests; and shapes are checked in every test that meets a signature."""

import gc
import os
from collections import Counter

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)  # tests run side by side; more threads would only wait for each other
install_import_hook(("rl_abn.attention", "rl_abn.compute"), "beartype.beartype")

LEFT_OUT = pytest.StashKey[int]()


def reasons_of(skipped: list[pytest.TestReport]) -> Counter[str]:
    """Returns how many tests skipped for each reason."""
    return Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        .removeprefix("Skipped: ")
        .partition("\n")[0]
        for report in skipped
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--more", action="store_true", help="also run the tests marked `more`")
    parser.addoption(
        "--all",
        action="store_true",
        help="also run those marked `more` and those marked `full`",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = 0
    gc.disable()  # what collecting makes lives to the end


def pytest_collection_finish() -> None:
    """Spares the garbage collector the modules and tests that stay."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked and not asked for, unless a test is named by its id."""
    if config.option.all or any("::" in argument for argument in config.args):
        return
    marks = ("full",) if config.option.more else ("full", "more")
    left_out = [item for item in items if any(map(item.get_closest_marker, marks))]
    items[:] = [item for item in items if not any(map(item.get_closest_marker, marks))]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = len(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Takes over the number from a worker of xdist: they all collect the same tests."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says why tests skipped, equal reasons in one line, and how many were left out."""
    for reason, n in reasons_of(terminalreporter.stats.get("skipped", [])).most_common():
        terminalreporter.write_line(f"{n} skipped: {reason}")
    if n := terminalreporter.config.stash[LEFT_OUT]:
        terminalreporter.write_line(
            f"{n} tests were left out; scripts/test --more runs long ones too, --all every case"
        )
