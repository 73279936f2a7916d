"""Make exercises/ from solutions/. Run as: python scripts/exercises.py [NAME ...]

``solutions/text/NAME.py`` (py:percent, read by jupytext) is what people write and review. From it
comes ``solutions/NAME/NAME.ipynb``, in nbgrader's source format. From that, nbgrader itself makes
``exercises/NAME/NAME.ipynb``, all sets in one process, with a gradebook that is thrown away.
Running this twice changes no byte. With ``--check`` nothing is written; the exit status says
whether the stored files are right.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import nbgrader_run, notebooks  # noqa: E402  # found whether run as a file or as a module

TEXTS = ROOT / "solutions" / "text"


def solution(text: Path) -> str:
    """The source notebook of a problem set: its text's cells, not run."""
    notebook = notebooks.read_text(text)
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's own note
    return notebooks.written(notebook)


def release(course: Path, names: Sequence[str]) -> dict[str, str]:
    """The exercises that nbgrader makes in the folder `course`, where solutions/NAME lie."""
    nbgrader_run.run(course, [f"generate_assignment {name} --force" for name in names])
    places = {name: course / "exercises" / name / f"{name}.ipynb" for name in names}
    return {
        name: place.read_text(encoding="utf-8").rstrip("\n") + "\n"
        for name, place in places.items()
    }


def build(texts: list[Path]) -> dict[Path, str]:
    """Every file that these texts make, with its content."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        shutil.copy(ROOT / "nbgrader_config.py", course)
        for text in texts:
            place = Path(text.stem) / f"{text.stem}.ipynb"
            source = course / "solutions" / place
            source.parent.mkdir(parents=True)
            source.write_text(solution(text), encoding="utf-8", newline="\n")
            made[ROOT / "solutions" / place] = source.read_text(encoding="utf-8")
        for name, content in release(course, [text.stem for text in texts]).items():
            made[ROOT / "exercises" / name / f"{name}.ipynb"] = content
    return made


def stray(texts: list[Path]) -> list[Path]:
    """Notebooks in solutions/ and exercises/ that no text makes."""
    wanted = {f"{text.stem}/{text.stem}.ipynb" for text in texts}
    return [
        path
        for side in ("solutions", "exercises")
        for path in sorted((ROOT / side).glob("*/*.ipynb"))
        if path.relative_to(ROOT / side).as_posix() not in wanted
    ]


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all made or, with --check, all equal; 1 not so; 2 no such problem set."""
    parser = argparse.ArgumentParser(
        description="Make exercises/ from solutions/.",
        epilog="example: python scripts/exercises.py --check ps01",
    )
    parser.add_argument("names", nargs="*", help="problem sets, as in ps01 (all of them)")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    options = parser.parse_args(argv)
    texts = [TEXTS / f"{name}.py" for name in options.names] or sorted(TEXTS.glob("*.py"))
    missing = [text.name for text in texts if not text.exists()]
    if missing:
        print(f"no such text in solutions/text: {', '.join(missing)}", file=sys.stderr)
        return 2
    differ = False
    for path, new in build(texts).items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        name = path.relative_to(ROOT).as_posix()
        print(f"{'unchanged' if old == new else 'changed':<10}{name}", flush=True)
        differ |= old != new
        if old != new and options.check:
            print(notebooks.difference(old, new, name), file=sys.stderr)
        elif old != new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(new, encoding="utf-8", newline="\n")
    strays = stray(sorted(TEXTS.glob("*.py")))
    for path in strays:
        print(f"no text makes {path.relative_to(ROOT).as_posix()}", file=sys.stderr)
    return int(bool(strays) or (differ and options.check))


if __name__ == "__main__":
    sys.exit(main())
