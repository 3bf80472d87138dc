"""The page's modules as one script: a browser asks once, and a file from disk needs no other."""

from __future__ import annotations

import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

STATIC = Path(__file__).parent / "static"
ENTRY = "main.js"
_IMPORT = re.compile(r'^import \{([\s\w,]+)\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|const|function) (\w+))", re.MULTILINE)
_ANY = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


@cache
def bundle() -> str:
    """Returns a module that does what `js/main.js` does with all that it imports.

    Each module becomes a function that is called once, after those it imports, and returns what it
    exports; so names that two modules both have do not meet. Modules import names from beside
    them, as they are called there, and export classes, constants and functions.

    Raises:
        ValueError: If a module imports or exports in another way, or modules import in a circle.
    """
    codes = {path.name: path.read_text("utf-8") for path in (STATIC / "js").glob("*.js")}
    imported = {
        name: [f"{found[2]}.js" for found in _IMPORT.finditer(code)] for name, code in codes.items()
    }
    order = [name for name in TopologicalSorter(imported).static_order() if name != ENTRY]
    return "\n".join([*(_module(name, codes[name]) for name in order), _body(ENTRY, codes[ENTRY])])


def _module(name: str, code: str) -> str:
    exported = ", ".join(_EXPORT.findall(code))
    body = _body(name, code)
    return f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"


def _body(name: str, code: str) -> str:
    code = _IMPORT.sub(lambda found: f"const {{{found[1]}}} = {_variable(found[2])};\n", code)
    code = _EXPORT.sub("", code)
    other = _ANY.search(code)
    if other is not None:
        raise ValueError(f"{name}: expected import {{ … }} or an exported name, got '{other[0]}'")
    return f"// {name}\n{code}"


def _variable(name: str) -> str:
    return "module_" + name.removesuffix(".js").replace("-", "_")
