"""`scripts/fuzz N SEED`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.material import make_material
from tests.fuzz.runner import import_everything, run_cases, run_forked


def main() -> None:
    """Tries N cases and prints what came of them; exits 1 where something was wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Tries N malformed command lines, recipes, run folders and files: each has to "
        "end within 60 s with exit code 0, or with 2 and one line, and nothing may be lost.",
    )
    parser.add_argument("n", type=int, metavar="N", help="how many, such as 2000")
    parser.add_argument("seed", type=int, metavar="SEED", nargs="?", default=0)
    parser.add_argument("--only", type=int, metavar="I", help="begin with case I of the seed")
    parser.add_argument("--material", type=Path, metavar="DIR", help="keep the runs here, or reuse")
    parser.add_argument("--show", action="store_true", help="print what each case came to")
    arguments = parser.parse_args()
    first = arguments.only or 0
    with tempfile.TemporaryDirectory(prefix="rl-abn-fuzz-") as place:
        import_everything()
        material = (arguments.material or Path(place, "material")).resolve()
        if not material.exists():
            material.mkdir(parents=True)
            make_material(material, run_forked)
        scratch = Path(tempfile.mkdtemp(prefix="cases-", dir=material.parent))
        cases = range(first, first + arguments.n)
        report = run_cases(material, scratch, arguments.seed, cases, show=arguments.show)
        scratch.rmdir()
    print(report.table())
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
