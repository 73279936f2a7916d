"""What each widget of a lesson shows first, found by running the lesson's cells in a child.

    predict   its question, the answer, and why
    quiz      its questions, their options, which is right, and why
    widget    its first picture as SVG, the words below it, and the names of its controls

The idea: a stored notebook has no widgets, and a widget's first state is the same everywhere. So
the cells run once, in order, as plain Python: no kernel, no notebook package, about the time that
the lesson's imports take.

The rule that keeps it simple: what comes back is plain JSON in a file, so that a cell may print
what it likes. A cell tagged `raises-exception` may fail; any other failure ends the child. Stored
outputs are never replaced: only widgets are looked at. Run by `firsts`, as
`python -m virtlab.course.slides.first NOTEBOOK RESULT`.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from virtlab.course.cli import CommandError
from virtlab.course.slides.lesson import read_cells

SECONDS = 300
"""Wall clock that one lesson may take; the longest takes a twentieth of it."""

First = dict[str, Any]
"""Plain data of one widget; `kind` is `"predict"`, `"quiz"` or `"widget"`."""


def firsts(notebook: Path) -> dict[int, First]:
    """The first state of each widget by the number of its cell. `CommandError` if a cell fails."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "first.json")
        words = [sys.executable, "-m", __name__, str(notebook.resolve()), str(result)]
        try:
            done = subprocess.run(
                words,
                cwd=notebook.resolve().parent,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"{notebook}: its cells did not end in {SECONDS} s") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise CommandError(f"{notebook}: a cell does not run: {said[-1]}")
        return {
            int(index): first
            for index, first in json.loads(result.read_text(encoding="utf-8")).items()
        }


def _environment() -> dict[str, str]:
    """Recorded systems, pictures without a screen, and nothing of the reader's own."""
    here = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    ours = {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "PYTHONPATH": path}
    kept = {"VIRTLAB_TIER": "recorded", "VIRTLAB_PROGRESS": "off"}
    return {**os.environ, **ours, **kept}


# -- in the child


def run(cells: list[dict[str, Any]]) -> dict[int, First]:
    """Run the code cells in order, and describe the widgets that they end in."""
    namespace: dict[str, Any] = {"__name__": "__main__", "display": _nothing}
    found = {}
    for index, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        try:
            value = _value(cell["source"], f"<cell {index + 1}>", namespace)
        except Exception:
            if "raises-exception" not in cell["metadata"].get("tags", ()):
                raise
            continue
        if first := described(value):
            found[index] = first
    return found


def _nothing(*_: object, **__: object) -> None:
    """IPython's `display`: what it shows is stored in the notebook."""


def _value(source: str, name: str, namespace: dict[str, Any]) -> object:
    """Run one cell; the value of its last line, if that is an expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace)


def described(value: object) -> First | None:
    """Plain data of a widget's first state; None for anything else."""
    import ipywidgets

    from virtlab.show.quiz import Predict, Quiz

    if isinstance(value, Predict):
        words = {"question": value.question, "answer": str(value.answer), "why": value.why}
        offered = [getattr(control, "options", ()) for control in value.controls]
        # a pair has the words without backquotes, and as they were written
        choices = [
            str(choice[1] if isinstance(choice, tuple) else choice)
            for options in offered
            for choice in options
        ]
        return {"kind": "predict", "choices": choices, **words}
    if isinstance(value, Quiz):
        asked = [
            {
                "prompt": one.prompt,
                "options": [option._asdict() for option in one.options],
                "answer": one.answer,
            }
            for one in value.questions
        ]
        return {"kind": "quiz", "questions": asked}
    if isinstance(value, ipywidgets.Widget):
        return {"kind": "widget", "name": repr(value), **_look(value)}
    return None


def _look(widget: Any) -> First:
    """The first picture of a widget, all words in it, and the names of its controls."""
    from ipywidgets import HTML, Box

    def leaves(box: Any) -> list[Any]:
        if isinstance(box, Box):
            return [leaf for child in box.children for leaf in leaves(child)]
        return [box]

    every = leaves(widget)
    values = [leaf.value for leaf in every if isinstance(leaf, HTML) and leaf.value]
    controls = [leaf.description for leaf in every if not isinstance(leaf, HTML)]
    return {
        "svg": next((value for value in values if "<svg" in value), ""),
        "says": [value for value in values if "<svg" not in value and "<table" not in value],
        "controls": [name for name in controls if name],
    }


def main(words: list[str]) -> int:
    """Write the first states of NOTEBOOK's widgets to RESULT."""
    notebook, result = map(Path, words)
    found = run(read_cells(notebook))
    result.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
