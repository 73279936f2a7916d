"""Lessons for a projector: a copy in which prose is marked, and a look for JupyterLab.

    notebook          ->  copy in a temporary folder, prose in <div class="vl-prose">
    present.css       ->  custom.css of JupyterLab: large type, prose hidden, pictures wide
    settings          ->  two keys and two buttons of JupyterLab's own commands

The idea: JupyterLab can do it all by itself. Its "simple" mode becomes the presenter view: there
the style sheet hides prose. The button *Prose* (F8) leaves that mode, and all text is back. The
button *Fit* (F4) is its presentation mode: pictures then fit into the window.

The rule that keeps it simple: headings, claims, tables, code, outputs and the take-away stay; all
other Markdown is prose. What is shown is a copy, so a lecture leaves no trace in the notebooks.
Left out: an extension. None has to be built, so this works with the JupyterLab that is pinned.
"""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

STAYS = re.compile(r"#{1,6} |\||!\[|<details|</details>|\$\$")
"""How a paragraph begins that is no prose: a heading, a table, a picture, a formula."""
CLAIM = re.compile(r"\*\*Claim: .*?\*\*", re.S)
SHOWN = ("Take away",)
"""Parts whose prose is shown."""
SETTINGS = {
    "notebook-extension/tracker": {
        "windowingMode": "none",
        "codeCellConfig": {"lineNumbers": False, "lineWrap": True},
    },
    "notebook-extension/panel": {
        "toolbar": [
            {
                "name": "vl-prose",
                "command": "application:toggle-mode",
                "label": "Prose",
                "caption": "Show or hide the prose (F8)",
                "icon": "",
                "rank": 50,
            },
            {
                "name": "vl-fit",
                "command": "application:toggle-presentation-mode",
                "label": "Fit",
                "caption": "Fit pictures into the window, or let them be as wide as it (F4)",
                "icon": "",
                "rank": 51,
            },
        ]
    },
    "shortcuts-extension/shortcuts": {
        "shortcuts": [
            {"command": "application:toggle-mode", "keys": ["F8"], "selector": "body"},
            {
                "command": "application:toggle-presentation-mode",
                "keys": ["F4"],
                "selector": "body",
            },
        ]
    },
}
"""JupyterLab's settings by plugin."""


def prepare(folder: Path, target: Path, notes: bool) -> None:
    """Fill `target` with what is shown of the course in `folder`, and how.

    `target/course` is the folder to serve; `custom` and `settings` are JupyterLab's. With `notes`
    the instructor's cells stay, opened; else they are not there at all.
    """
    lessons = target / "course" / "notebooks"
    lessons.mkdir(parents=True)
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        book = json.loads(path.read_text(encoding="utf-8"))
        book["cells"] = [shown(cell) for cell in book["cells"] if notes or not instructors(cell)]
        (lessons / path.name).write_text(json.dumps(book), encoding="utf-8")
    if (folder / "exercises").is_dir():
        shutil.copytree(folder / "exercises", target / "course" / "exercises")
    _look(target)


def options(target: Path) -> list[str]:
    """The options by which JupyterLab takes its look from `target`, and leaves its own alone."""
    return [
        "--LabApp.custom_css=True",
        f"--LabApp.user_settings_dir={target / 'settings'}",
        f"--LabApp.workspaces_dir={target / 'workspaces'}",
    ]


def environment(target: Path) -> dict[str, str]:
    """The variables for JupyterLab: it looks for `custom/custom.css` where its settings are."""
    return {"JUPYTER_CONFIG_DIR": str(target)}


def _look(target: Path) -> None:
    """The style sheet and the settings."""
    (target / "custom").mkdir()
    style = (files("virtlab.data") / "present" / "present.css").read_text(encoding="utf-8")
    (target / "custom" / "custom.css").write_text(style, encoding="utf-8")
    for plugin, values in SETTINGS.items():
        path = target / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")


def instructors(cell: dict[str, Any]) -> bool:
    """Whether a cell is the instructor's."""
    return "instructor" in cell.get("metadata", {}).get("tags", ())


def shown(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with its prose marked; a code cell as it is, without its outputs."""
    if cell["cell_type"] == "code":
        return {**cell, "outputs": [], "execution_count": None}
    source = "".join(cell["source"])
    if instructors(cell):
        return {**cell, "source": source.replace("<details>", "<details open>", 1)}
    return {**cell, "source": marked(source)} if cell["cell_type"] == "markdown" else cell


def marked(source: str) -> str:
    r"""Markdown with its prose in elements of the class `vl-prose`.

    >>> print(marked("## Round 1\n\n**Claim: it is.** And why."))
    ## Round 1
    <BLANKLINE>
    **Claim: it is.** <span class="vl-prose">And why.</span>
    """
    paragraphs, heading = [], ""
    for paragraph in re.split(r"\n\s*\n", source.strip()):
        if match := re.match(r"#+ +(.*)", paragraph):
            heading = match[1].strip()
        if STAYS.match(paragraph) or heading in SHOWN:
            paragraphs.append(paragraph)
        elif claim := CLAIM.search(paragraph):
            parts = (_span(paragraph[: claim.start()]), claim[0], _span(paragraph[claim.end() :]))
            paragraphs.append(" ".join(filter(None, parts)))
        else:
            paragraphs.append(f'<div class="vl-prose">\n\n{paragraph}\n\n</div>')
    return "\n\n".join(paragraphs)


def _span(text: str) -> str:
    return f'<span class="vl-prose">{text.strip()}</span>' if text.strip() else ""
