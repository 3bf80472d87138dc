"""The page's modules become one script that keeps their names apart."""

from __future__ import annotations

import re

import pytest

from rl_abn.view import bundle as bundle_module

DOM = "const shown = [];\n\nexport function show(what) {\n  shown.push(what);\n}\n"
SIDE = (
    'import {\n  show,\n} from "./dom.js";\n\nconst shown = 1;\n'
    "export class Side {}\nexport async function ask() {\n  show(shown);\n}\n"
)
MAIN = 'import { show } from "./dom.js";\nimport { ask, Side } from "./side.js";\n\nshow(Side);\n'


@pytest.fixture
def make(tmp_path, monkeypatch):
    def make(**codes):
        (tmp_path / "js").mkdir()
        for name, code in codes.items():
            (tmp_path / "js" / f"{name}.js").write_text(code)
        monkeypatch.setattr(bundle_module, "STATIC", tmp_path)
        return bundle_module.bundle.__wrapped__()

    return make


def test_modules_are_called_in_the_order_of_their_imports(make):
    code = make(main=MAIN, side=SIDE, dom=DOM)
    dom, side, main = (code.index(f"// {name}.js") for name in ("dom", "side", "main"))
    assert dom < side < main
    assert "const module_dom = (() => {" in code
    assert "return { show };" in code
    assert "const {\n  show,\n} = module_dom;" in code
    assert "return { Side, ask };" in code
    assert code.endswith("const { ask, Side } = module_side;\n\nshow(Side);\n")
    assert not re.search(r"^(import|export)\b", code, re.MULTILINE)


@pytest.mark.parametrize(
    "line", ["export default 1;", "export let n = 1;", 'import * as dom from "./dom.js";']
)
def test_other_imports_and_exports_are_refused(make, line):
    with pytest.raises(ValueError, match=r"side\.js: expected import"):
        make(main=MAIN, side=f"{SIDE}{line}\n", dom=DOM)


def test_the_page_holds_every_module_once_and_ends_no_script():
    code = bundle_module.bundle()
    for path in (bundle_module.STATIC / "js").glob("*.js"):
        assert code.count(f"// {path.name}\n") == 1
    assert "</script" not in code.lower()
