"""The rules by which a deck is made, one by one: parts, blocks, heights, links, refusals."""

import argparse
import json
import re
from pathlib import Path

import pytest

from tests.course.test_slides import PICTURE, ROOT, cells, run, written
from virtlab.course import cli, slides_command
from virtlab.course.slides import first, outputs
from virtlab.course.slides.blocks import blocks
from virtlab.course.slides.lesson import Code, Part, read_lesson
from virtlab.course.slides.markup import markdown
from virtlab.course.slides.pack import pack
from virtlab.course.slides.sizes import CODE_LINES, COLUMN, MOST_LINES, ROOM, Block
from virtlab.errors import FileError


def test_a_heading_in_the_middle_of_a_cell_begins_a_part(tmp_path):
    path = written(tmp_path, cells("# T\n\nsome\n\nwords", "after\n\n## Two\n\nmore", ("1",)))
    lesson = read_lesson(path)
    assert [part.heading for part in lesson.parts] == ["T", "Two"]
    assert lesson.parts[0].items == ["some", "words", "after"]
    assert lesson.parts[1].items == ["more", Code(2, "1", [], False)]


@pytest.mark.parametrize(
    ("book", "why"),
    [
        ("{", "not a notebook"),
        ("[]", "not a notebook"),
        ('{"cells": [{"cell_type": "code"}]}', "not a notebook"),
        (json.dumps(cells("no heading")), "does not begin with a heading"),
        (json.dumps(cells()), "has no cells"),
    ],
)
def test_a_file_that_is_no_lesson_is_one_line(tmp_path, capsys, book, why):
    path = written(tmp_path, {})
    path.write_text(book)
    with pytest.raises(FileError, match=why):
        read_lesson(path)
    assert run("30", "--folder", tmp_path, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"virtlab slides: {path}: byte ")
    assert said.count("\n") == 1


def test_a_cell_that_fails_is_one_line(tmp_path, capsys):
    written(tmp_path, cells("# T", ("1 / 0",)))
    assert run("30", "--folder", tmp_path, "--out", tmp_path) == 1
    said = capsys.readouterr().err
    assert "a cell does not run: ZeroDivisionError: division by zero\n" in said


def test_a_cell_that_may_fail_may_and_printing_does_no_harm(tmp_path):
    book = cells("# T", ("print('{}')\n1 / 0",), ("display(x := 1)\nprint(x)",))
    book["cells"][1]["metadata"]["tags"] = ["raises-exception"]
    assert first.firsts(written(tmp_path, book)) == {}


def test_a_lesson_that_does_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(first, "SECONDS", 1)
    path = written(tmp_path, cells("# T", ("import time\ntime.sleep(60)",)))
    with pytest.raises(cli.CommandError, match="did not end in 1 s"):
        first.firsts(path)


def test_widgets_are_described_by_what_they_show_first():
    from virtlab import show
    from virtlab.show.note import Note

    asked = first.described(show.Predict("Which?", "b", "So it is.", options=["`a`", "b"]))
    assert asked["choices"] == ["`a`", "b"]
    assert asked["answer"] == "b"
    assert first.described(Note("words"))["says"] != []
    assert first.described(3) is None


def test_long_code_goes_on_on_the_next_slide_and_nothing_is_lost():
    source = "\n".join(f"line_{n} = {n}" for n in range(CODE_LINES + 5))
    made = pack("T", 2, outputs.run_blocks(Code(0, source, [], False), None))
    assert [slide.of for slide in made] == [2, 2]
    text = re.sub("<.*?>", "", "".join(html for slide in made for html in slide.body))
    assert all(f"line_{n} = {n}" in text for n in range(CODE_LINES + 5))


def printed(text):
    """The block of a cell that printed this."""
    stream = {"output_type": "stream", "text": text}
    (block,) = outputs.run_blocks(Code(0, "", [stream], True), None)
    return block


def test_long_output_is_cut_and_says_so():
    block = printed("\n".join(f"row {n}" for n in range(40)))
    assert f"row {MOST_LINES - 1}\n" in block.html
    assert f"row {MOST_LINES}" not in block.html
    assert f"{40 - MOST_LINES} more lines are in the notebook" in block.html
    assert printed("x" * 500).height > printed("x").height


def test_folded_code_is_left_out_and_what_it_printed_is_not():
    stream = {"output_type": "stream", "text": "words"}
    assert len([*outputs.run_blocks(Code(0, "x = 1", [stream], False), None)]) == 2
    (block,) = outputs.run_blocks(Code(0, "x = 1", [stream], True), None)
    assert block.html == '<pre class="output">words</pre>'


def test_an_error_is_its_name_and_its_words_without_colours():
    error = {"output_type": "error", "ename": "E", "evalue": "\x1b[31m<no>\x1b[0m", "traceback": []}
    (block,) = outputs.run_blocks(Code(0, "", [error], True), None)
    assert block.html == '<pre class="error">E: &lt;no&gt;</pre>'


def test_a_long_table_is_cut_and_says_so():
    row = "<tr><td>{}</td><td>" + "words " * 30 + "</td></tr>"
    html = f"<table><caption>t</caption>{''.join(row.format(n) for n in range(30))}</table>"
    block = outputs.table(html)
    kept = block.html.count("<tr>")
    assert 0 < kept < 30
    assert f"{30 - kept} more rows are in the notebook" in block.html
    assert block.height <= ROOM
    short = outputs.table("<table><tr><td>1</td></tr></table>")
    assert "more rows" not in short.html


def test_a_picture_takes_the_room_that_is_left_or_a_slide_of_its_own():
    low, high = (Block(PICTURE.format(h, ""), int(h * COLUMN / 940), "picture") for h in (100, 900))
    text = Block("<p>x</p>", 60)
    assert len(pack("T", 2, [text, low])) == 1
    (slide,) = pack("T", 2, [text, high])
    assert f"height: {slide.used - 60 - 14}px" in slide.body[1]
    assert slide.used == ROOM
    assert len(pack("T", 2, [text, text, text, high])) == 2


def test_notes_that_come_after_the_last_block_stay_with_it():
    note, turn = Block("<p>n</p>", 0, "note"), Block("", 0, "break")
    (slide,) = pack("T", 2, [Block("x", 10), turn, note])
    assert slide.notes == ["<p>n</p>"]


def test_a_photo_has_an_alternative():
    for metadata, alt in (({}, "Figure"), ({"image/png": {"alt": 'a "b"'}}, "a &quot;b&quot;")):
        data = {"image/png": "AAAA\n", "text/plain": "Figure"}
        shown = {"output_type": "display_data", "data": data, "metadata": metadata}
        (block,) = outputs.run_blocks(Code(0, "", [shown], True), None)
        assert block.html == f'<img src="data:image/png;base64,AAAA" alt="{alt}">'


def test_the_claim_leads_and_without_one_the_first_sentence():
    def lead(text):
        return next(iter(blocks(Part("R", 2, [text]), {}))).html

    assert lead("Words. **Claim: it is `so`.** More.") == (
        '<p class="claim">It is <code>so</code>.</p>'
    )
    assert lead("A first one. A second one.") == '<p class="claim">A first one.</p>'


def test_links_lead_to_other_decks_or_nowhere():
    text = "[a](15_notifications.ipynb) [b](../docs/x.md) [c](https://example.org/)"
    assert markdown(text) == (
        '<p><a href="15_notifications.html">a</a> b <a href="https://example.org/">c</a></p>'
    )
    assert markdown(r"$$\text{PF} + n \times 2$$") == "<p><em>PF + n × 2</em></p>"
    assert "<script>" not in markdown("<script>alert(1)</script>")


def test_json_says_what_was_written(tmp_path, capsys):
    written(tmp_path, cells("# T", ("1",)))
    assert run("--folder", tmp_path, "--out", tmp_path / "new", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "lesson": "30_made",
        "file": str(tmp_path / "new" / "30_made.html"),
        "slides": 1,
        "size": (tmp_path / "new" / "30_made.html").stat().st_size,
    }


def test_without_a_name_all_lessons_are_meant():
    assert [path.name[:2] for path in slides_command.chosen(ROOT, [])] == [
        path.name[:2] for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    ]
    parser = argparse.ArgumentParser()
    slides_command.arguments(parser)
    assert parser.parse_args([]).out == Path("slides")
