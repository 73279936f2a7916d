"""`virtlab lab --present`: a copy for the projector, in which prose is marked, and its look."""

import json
import re
from pathlib import Path

import pytest

from tests.course.ended_server import EndedServer
from virtlab.course import cli, lab, present

ROOT = Path(__file__).parents[2]
NOTES = {
    "cell_type": "markdown",
    "metadata": {"tags": ["instructor"]},
    "source": ["<details><summary>For the instructor</summary>\n", "\n", "Ask.\n", "</details>"],
}
LESSON = """
from virtlab import show
from virtlab.show.svg import picture, write
picture("A picture", 300, [write(28, 100, "small words", size=14)], "a picture", "a picture")
---
show.Predict("How many?", answer=2, why="Two.")
---
show.Predict("Which?", answer="`one`", why="It is.", options=["`one`", "two"])
---
print("a line of output")
"""


def markdown(source):
    """A Markdown cell."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def course(folder):
    """A course of one lesson."""
    codes = [
        {"cell_type": "code", "metadata": {}, "source": code.strip(), "execution_count": 1}
        | {"outputs": [{"output_type": "stream", "name": "stdout", "text": "of last time"}]}
        for code in LESSON.split("---")
    ]
    words = [
        markdown("# Who?\n\nprose at the top"),
        markdown("## Round 1\n\nBefore. **Claim: so it is.** Behind.\n\nmore prose"),
        markdown("nothing but prose"),
        markdown("## Take away\n\nThis stays."),
    ]
    book = {"cells": [*words, *codes, NOTES], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    book["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    for number, cell in enumerate(book["cells"]):
        cell["id"] = f"cell{number}"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "exercises" / "ps01").mkdir(parents=True)
    (folder / "exercises" / "ps01" / "ps01.ipynb").write_text("{}")
    (folder / "notebooks" / "00_who.ipynb").write_text(json.dumps(book), encoding="utf-8")
    return folder


def prepared(tmp_path, notes=False):
    """The cells of the prepared copy, and where it is."""
    target = tmp_path / "copy"
    present.prepare(course(tmp_path / "course"), target, notes)
    book = json.loads((target / "course" / "notebooks" / "00_who.ipynb").read_text("utf-8"))
    return book["cells"], target


# -- the copy


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# Title", "# Title"),
        ("prose", '<div class="vl-prose">\n\nprose\n\n</div>'),
        (
            "Before. **Claim: so\nit is.** Behind.",
            '<span class="vl-prose">Before.</span> **Claim: so\nit is.** '
            '<span class="vl-prose">Behind.</span>',
        ),
        ("**Claim: alone.**", "**Claim: alone.**"),
        ("| a | b |\n|---|---|", "| a | b |\n|---|---|"),
        ("![a](b.svg)", "![a](b.svg)"),
        ("$$x$$", "$$x$$"),
        ("## Take away\n\nwords\n\nmore", "## Take away\n\nwords\n\nmore"),
        ("## Other\n\n- a\n- b", '## Other\n\n<div class="vl-prose">\n\n- a\n- b\n\n</div>'),
    ],
)
def test_prose_is_marked_and_the_rest_is_as_it_was(source, expected):
    assert present.marked(source) == expected


def test_a_copy_has_no_outputs_and_code_as_it_is(tmp_path):
    cells, target = prepared(tmp_path)
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["source"] for cell in codes] == [code.strip() for code in LESSON.split("---")]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in codes)
    assert (target / "course" / "exercises" / "ps01" / "ps01.ipynb").exists()


@pytest.mark.parametrize("notes", [False, True])
def test_the_instructors_cells_are_shown_as_chosen(tmp_path, notes):
    cells, _ = prepared(tmp_path, notes)
    shown = [cell for cell in cells if present.instructors(cell)]
    assert len(shown) == notes
    assert all(cell["source"].startswith("<details open>") for cell in shown)


def test_the_originals_stay_as_they_are(tmp_path):
    before = (course(tmp_path / "other") / "notebooks" / "00_who.ipynb").read_bytes()
    prepared(tmp_path)
    assert (tmp_path / "course" / "notebooks" / "00_who.ipynb").read_bytes() == before


def test_a_raw_cell_and_a_course_without_exercises_do_no_harm(tmp_path):
    raw = {"cell_type": "raw", "metadata": {}, "source": "x"}
    assert present.shown(raw) == raw
    (tmp_path / "notebooks").mkdir()
    present.prepare(tmp_path, tmp_path / "copy", notes=False)
    assert not (tmp_path / "copy" / "course" / "exercises").exists()


def test_every_lesson_keeps_all_its_headings_and_claims(tmp_path):
    present.prepare(ROOT, tmp_path / "copy", notes=False)
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        words = re.compile(r"^##? .*$|\*\*Claim: .*?\*\*", re.M)
        old, new = (
            "\n\n".join(
                "".join(cell["source"])
                for cell in json.loads(book.read_text("utf-8"))["cells"]
                if cell["cell_type"] == "markdown" and not present.instructors(cell)
            )
            for book in (path, tmp_path / "copy" / "course" / "notebooks" / path.name)
        )
        shown = re.sub(r'<div class="vl-prose">.*?</div>', "", new, flags=re.S)
        shown = re.sub(r'<span class="vl-prose">.*?</span>', "", shown, flags=re.S)
        assert words.findall(shown) == words.findall(old)


def test_jupyterlab_is_told_where_its_look_is(tmp_path):
    _, target = prepared(tmp_path)
    style = (target / "custom" / "custom.css").read_text("utf-8")
    assert ".vl-prose { display: none; }" in style
    assert present.environment(target) == {"JUPYTER_CONFIG_DIR": str(target)}
    assert "--LabApp.custom_css=True" in present.options(target)
    settings = target / "settings" / "@jupyterlab"
    for plugin, values in present.SETTINGS.items():
        assert json.loads((settings / f"{plugin}.jupyterlab-settings").read_text()) == values


# -- the command


def test_in_process_the_copy_is_served_and_opened_and_goes(tmp_path, monkeypatch, capsys):
    folder, served = course(tmp_path / "course"), []

    def start(folder, port, token, more, log, env):
        assert (folder / "notebooks" / "00_who.ipynb").exists()
        served.append((folder, more, env))
        return EndedServer()

    monkeypatch.setattr(lab, "start", start)
    monkeypatch.setattr(lab, "wait_until_up", lambda *_: None)
    monkeypatch.setattr(lab, "has_browser", lambda: False)
    words = ["lab", "--present", "--folder", str(folder), "--port", "0", "--", "--x=1"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert re.search(r"http://127\.0\.0\.1:\d+/doc/tree/notebooks/00_who\.ipynb\?token=\w+", said)
    ((where, more, env),) = served
    assert where != folder
    assert not where.exists()
    assert more[-1] == "--x=1"
    assert env == {"JUPYTER_CONFIG_DIR": str(where.parent)}


def test_notes_without_present_is_one_line(capsys):
    assert cli.main(["lab", "--notes"]) == 1
    assert capsys.readouterr().err == (
        "virtlab lab: --notes belongs to --present: the lessons themselves have the notes\n"
    )
