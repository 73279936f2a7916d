"""Run the lessons' text and store them as notebooks. Run as: python scripts/notebooks.py [NAME ...]

``notebooks/text/NN_name.py`` (py:percent, read by jupytext) is what people write and review.
``notebooks/NN_name.ipynb`` is made from it: the same cells with stable ids, executed, and freed
from all that differs between two runs or two machines. Running this twice changes no byte: a plot
of a live measurement (in a cell tagged ``measured``) stays as it was first stored. With
``--check`` nothing is written; the exit status says whether a fresh run gives what is stored.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import re
import sys
import sysconfig
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
CELL_SECONDS = 120
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}

# What differs from run to run; tests/nbval.cfg gives nbval the same two patterns.
SANITIZE = (
    (re.compile(r"(?<= at )0x[0-9a-fA-F]{6,}"), "0x00000000"),
    (re.compile(r"\S*ipykernel_\d+/\d+\.py(:\d+)?"), "<cell>"),
)
# What must never be stored: paths of one machine. /dev, /sys and /proc are the lessons' matter.
PRIVATE = re.compile(r"(?<![\w.<])/(?:home|root|Users|tmp|var/folders)/|site-packages")


def text_of(notebook: Path) -> Path:
    """The text source of a notebook."""
    return notebook.parent / "text" / f"{notebook.stem}.py"


def read_text(path: Path):
    """A lesson's text as an unexecuted notebook with stable cell ids and plain metadata."""
    import jupytext

    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": dict(LANGUAGE)}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell["id"] = cell_id(path.stem, cell, seen)
    return notebook


def cell_id(lesson: str, cell, seen: dict[str, int]) -> str:
    """An id that depends on what the cell says, so that a new cell leaves the others' ids alone."""
    key = f"{lesson}\0{cell.cell_type}\0{cell.source}"
    seen[key] = seen.get(key, 0) + 1
    return hashlib.sha256(f"{key}\0{seen[key]}".encode()).hexdigest()[:8]


def execute(notebook, folder: Path) -> None:
    """Run every cell in a fresh kernel whose working directory is the lessons' folder."""
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as profile:
        os.environ["IPYTHONDIR"] = profile  # nobody's own start-up files
        os.environ.setdefault("VIRTLAB_TIER", "recorded")  # what is stored is of no one machine
        os.environ["VIRTLAB_PROGRESS"] = "off"  # no reader is at work here
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name=KERNEL["name"],
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute()


def normalise(notebook) -> None:
    """Drop, in place, all that belongs to one run or one machine."""
    notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": dict(LANGUAGE)}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
            for output in cell.outputs:
                clean(output)


def joined(outputs: list) -> list:
    """Outputs with the pieces of one stream put together: where it was cut is chance."""
    result: list = []
    streams: dict = {}
    for output in outputs:
        if output.output_type != "stream":
            streams = {}
        elif output.name in streams:
            streams[output.name].text += output.text
            continue
        else:
            streams[output.name] = output
        result.append(output)
    return result


def clean(output) -> None:
    """Sanitize one output: no widget views, addresses, paths of this machine."""
    if output.output_type == "stream":
        output.text = sanitize(output.text)
    elif output.output_type == "error":
        output.evalue = sanitize(output.evalue)
        output.traceback = [sanitize(line) for line in output.traceback]
    else:
        for mime in (WIDGET_VIEW, "application/vnd.jupyter.widget-state+json"):
            output.data.pop(mime, None)
            output.metadata.pop(mime, None)
        for mime, value in output.data.items():
            if mime.startswith("text/") or mime == "image/svg+xml":
                output.data[mime] = sanitize(value)


def sanitize(text: str) -> str:
    """Text without addresses of objects, names of temporary files and folders of this machine."""
    for pattern, instead in SANITIZE:
        text = pattern.sub(instead, text)
    home = str(Path.home())
    places = [(str(ROOT), "")]
    places += [(sysconfig.get_path(name), "python") for name in ("purelib", "platlib", "stdlib")]
    for place, instead in places:
        short = f"~{place.removeprefix(home)}" if place.startswith(home + os.sep) else place
        for spelled in (place, short):
            text = text.replace(spelled + os.sep, instead and instead + os.sep)
    return text


def written(notebook) -> str:
    """A notebook as the text of its file."""
    import nbformat

    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def build(text: Path) -> str:
    """The whole way from a lesson's text to the content of its notebook."""
    notebook = read_text(text)
    execute(notebook, text.parents[1])
    normalise(notebook)
    return written(notebook)


def with_stored_plots(new: str, old: str) -> str:
    """`new`, where a cell tagged ``measured`` that did not change keeps its plots of `old`."""
    import nbformat

    notebook = nbformat.reads(new, as_version=4)
    stored = {cell.id: cell for cell in nbformat.reads(old, as_version=4).cells}
    for cell in notebook.cells:
        if "measured" not in cell.metadata.get("tags", ()) or cell.id not in stored:
            continue
        for output, before in zip(cell.outputs, stored[cell.id].outputs, strict=False):
            if "image/png" in output.get("data", ()) and "image/png" in before.get("data", ()):
                output.data["image/png"] = before.data["image/png"]
                output.metadata = before.metadata  # the words of that plot
    return written(notebook)


def disagreements(path: Path) -> list[str]:
    """Why a stored notebook is not what its text and a clean run in order would give."""
    import nbformat

    text = text_of(path)
    if not text.exists():
        return [f"{path.name}: there is no text {text.name}"]
    stored = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    wanted = read_text(text)
    found = []
    if stored.metadata != wanted.metadata:
        found.append("metadata: only kernelspec and language_info, without a version, belong here")
    if len(stored.cells) != len(wanted.cells):
        found.append(f"{len(stored.cells)} cells, the text has {len(wanted.cells)}")
    for number, (cell, source) in enumerate(zip(stored.cells, wanted.cells, strict=False), 1):
        for part in ("cell_type", "source", "metadata", "id"):
            if cell.get(part) != source.get(part):
                found.append(f"cell {number}: {part} differs from the text")
    found += badly_run([cell for cell in stored.cells if cell.cell_type == "code"])
    private = PRIVATE.search(path.read_text(encoding="utf-8"))
    if private or str(ROOT) in path.read_text(encoding="utf-8"):
        found.append(f"a path of one machine is stored: {private[0] if private else ROOT}")
    return [f"{path.name}: {line}" for line in found]


def badly_run(cells: list) -> list[str]:
    """What shows that the code cells were not run once, in order, without an error."""
    found = []
    for count, cell in enumerate(cells, 1):
        name = f"code cell {count}"
        tags = cell.metadata.get("tags", ())
        errors = [out for out in cell.outputs if out.output_type == "error"]
        if cell.execution_count != count:
            found.append(f"{name}: execution count {cell.execution_count}, not {count}")
        if errors and "raises-exception" not in tags:
            found.append(f"{name}: stores the error {errors[0].ename}")
        if "raises-exception" in tags and not errors:
            found.append(f"{name}: tagged raises-exception, and stores no error")
        for output in cell.outputs:
            if output.get("execution_count", count) != count:
                found.append(f"{name}: an output has another execution count")
            if any("widget" in mime for mime in output.get("data", ())):
                found.append(f"{name}: stores a widget's view or state")
    return found


def unpaired(folder: Path) -> list[str]:
    """Notebooks without a text, and texts without a notebook."""
    books = {path.stem for path in folder.glob("*.ipynb")}
    texts = {path.stem for path in (folder / "text").glob("*.py")}
    return [f"{name}.ipynb has no text" for name in sorted(books - texts)] + [
        f"text/{name}.py has no notebook: make notebooks" for name in sorted(texts - books)
    ]


def difference(old: str, new: str, name: str) -> str:
    """The first lines in which a stored notebook differs from a fresh one."""
    lines = list(
        difflib.unified_diff(
            old.splitlines(),
            new.splitlines(),
            f"{name} (stored)",
            f"{name} (fresh)",
            lineterm="",
            n=1,
        )
    )
    return "\n".join(line[:200] for line in lines[:40])


def attempt(text: Path) -> tuple[str, str]:
    """What ``build`` made, and what went wrong: one of the two is empty."""
    try:
        return build(text), ""
    except Exception as error:  # a failing cell: report it and go on with the other lessons
        return "", f"{type(error).__name__}: {error}"


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all stored or, with --check, all equal; 1 a lesson fails or differs."""
    parser = argparse.ArgumentParser(
        description="Run the lessons and store their notebooks.",
        epilog="example: python scripts/notebooks.py --check 01_ports",
    )
    parser.add_argument("names", nargs="*", help="lessons, as in 00_tour (all of them)")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    options = parser.parse_args(argv)
    texts = [FOLDER / "text" / f"{Path(name).stem}.py" for name in options.names]
    texts = texts or sorted((FOLDER / "text").glob("*.py"))
    missing = [text.name for text in texts if not text.exists()]
    if missing:
        print(f"no such text in notebooks/text: {', '.join(missing)}", file=sys.stderr)
        return 2
    status = 0
    with ProcessPoolExecutor(max_workers=2) as pool:
        for text, (new, wrong) in zip(texts, pool.map(attempt, texts), strict=True):
            path = FOLDER / f"{text.stem}.ipynb"
            old = path.read_text(encoding="utf-8") if path.exists() else ""
            if new and old:
                new = with_stored_plots(new, old)
            verdict = "failed" if wrong else "unchanged" if old == new else "changed"
            print(f"{verdict:<10}{path.name}", flush=True)
            if wrong:
                print(wrong, file=sys.stderr)
            elif old != new and options.check:
                print(difference(old, new, path.name), file=sys.stderr)
            elif old != new:
                path.write_text(new, encoding="utf-8", newline="\n")
            status |= bool(wrong) or (options.check and old != new)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
