"""Why tests skipped is said once a reason."""

from types import SimpleNamespace

from tests.conftest import reasons_of


def test_equal_reasons_are_counted_together() -> None:
    texts = ["Skipped: needs a GPU", "Skipped: needs a GPU", "Skipped: no browser\nlong story"]
    found = reasons_of([SimpleNamespace(longrepr=("a.py", 1, text)) for text in texts])
    assert found.most_common() == [("needs a GPU", 2), ("no browser", 1)]
