"""`virtlab practice`: what it prints, and what it refuses in one line."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from virtlab.course import cli
from virtlab.course.practice import KINDS, problem
from virtlab.course.practice.sheet import as_html, as_markdown, heading


@pytest.fixture
def practice(capsys):
    """Run `virtlab practice`: exit status, and what it prints."""

    def run(*words):
        status = cli.main(["practice", *words])
        return status, *capsys.readouterr()

    return run


def test_without_a_kind_it_lists_all_of_them(practice):
    status, out, _ = practice()
    assert status == 0
    for kind in KINDS:
        assert f"{kind.name} " in out
        assert all(words in out for words in kind.levels)


def test_the_list_for_a_program(practice):
    _, out, _ = practice("--json")
    records = json.loads(out)
    assert [record["kind"] for record in records] == [kind.name for kind in KINDS]
    assert records[0]["topics"] == ["S02"]


def test_a_problem_without_its_answer(practice):
    status, out, err = practice("vtd-walk", "--seed", "7")
    assert (status, err) == (0, "")
    assert out == problem("vtd-walk", 7).text + "\n"
    assert "Answer:" not in out


def test_a_problem_with_its_answer(practice):
    _, out, _ = practice("vtd-walk", "--seed", "7", "--answer", "--level", "2")
    one = problem("vtd-walk", 7, 2)
    assert out == f"{one.text}\n\n{one.answer.text}\n"


def test_without_a_seed_the_problem_says_how_to_see_it_again(practice):
    _, out, _ = practice("ari")
    command = out.split("(virtlab ")[1].split(")")[0]
    _, again, _ = practice(*command.split()[1:])
    assert again == out


def test_a_right_answer(practice):
    right = problem("bar-size", 3, 3).answer.answer
    assert practice("bar-size", "--seed", "3", "--level", "3", "--check", right) == (
        0,
        "Right.\n",
        "",
    )


def test_a_wrong_answer_says_which_step(practice):
    one = problem("vtd-walk", 7)
    wrong = str(one.key.answer[0] & ~0xFFF)
    status, out, _ = practice("vtd-walk", "--seed", "7", "--check", wrong)
    assert status == 1
    assert "the step “end”" in out
    status, out, _ = practice("vtd-walk", "--seed", "7", "--check", wrong, "--json")
    assert status == 1
    assert json.loads(out)["step"] == "end"
    assert one.answer.answer not in out


def test_data_for_a_program(practice):
    _, out, _ = practice("io-bitmap", "--seed", "2", "--json")
    record = json.loads(out)
    assert record == problem("io-bitmap", 2).as_data()
    assert "answer" not in record
    _, out, _ = practice("io-bitmap", "--seed", "2", "--json", "--answer", "--count", "2")
    both = json.loads(out)
    assert [record["seed"] for record in both] == [2, 3]
    assert all(record["steps"][-1]["result"] == record["answer"] for record in both)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["walk"], "no kind 'walk'; there are: port-decode"),
        (["ari", "--seed", "-1"], "--seed is 0 or more and below 2**64, not -1"),
        (["ari", "--count", "0"], "--count is 1 to 100, not 0"),
        (["ari", "--count", "101"], "--count is 1 to 100, not 101"),
        (["ari", "--check", "1"], "--check needs --seed"),
        (["ari", "--check", "1", "--seed", "1", "--count", "2"], "--check is for one problem"),
    ],
)
def test_what_cannot_be_is_one_line(practice, words, line):
    status, out, err = practice(*words)
    assert (status, out) == (1, "")
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["ari", "--level", "4"], ["ari", "--json", "--html"], ["ari", "--seed", "x"]]
)
def test_a_wrong_command_line_is_status_2(practice, words):
    status, _, err = practice(*words)
    assert status == 2
    assert err.count("\n") == 1


# -- work sheets


def test_a_sheet_goes_to_a_file(practice, tmp_path):
    path = tmp_path / "sheet.html"
    status, out, _ = practice("ari", "--seed", "1", "--count", "3", "--html", "--out", str(path))
    assert (status, out) == (0, "")
    problems = [problem("ari", seed) for seed in (1, 2, 3)]
    assert path.read_text(encoding="utf-8") == as_html(problems, False) + "\n"


def test_a_file_that_cannot_be_written_is_one_line(practice, tmp_path):
    status, _, err = practice("ari", "--out", str(tmp_path / "no" / "sheet.txt"))
    assert status == 1
    assert err.count("\n") == 1


class Tags(HTMLParser):
    """That every tag is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.name != "vhost-memory"])
def test_a_sheet_on_paper_is_well_formed_and_its_answers_begin_on_a_new_page(kind):
    problems = [problem(kind, seed, 3) for seed in range(3)]
    page = as_html(problems, True)
    tags = Tags(page)
    assert not tags.open
    assert "script" not in tags.seen
    assert "http" not in page
    before, after = page.split('<h1 class="answers">')
    assert "break-before: page" in before
    assert "Answer:" not in before
    assert after.count("Answer:") == 3
    assert "Answer:" not in as_html(problems, False)


def test_a_sheet_in_markdown_has_its_answers_behind_a_rule():
    problems = [problem("chain-walk", seed) for seed in range(2)]
    text = as_markdown(problems, True)
    before, after = text.split("\n---\n\n# Answers")
    assert "| index | addr | len | flags | next |\n| --- | --- | --- | --- | --- |" in before
    assert after.count("**Answer:**") == 2
    assert "Answers" not in as_markdown(problems, False)


def test_markdown_by_the_command(practice):
    _, out, _ = practice("ari", "--seed", "4", "--markdown")
    assert out == as_markdown([problem("ari", 4)], False) + "\n"


def test_a_heading_names_kinds_and_levels():
    ones = [problem("ari", 1), problem("ring-state", 1, 2)]
    assert heading(ones) == "Practice: ari, ring-state, level 1 and 2"


# -- in a notebook


def test_a_problem_in_a_notebook_has_html_and_the_same_in_words():
    one = problem("irq-remap", 1, 3)
    shown = one._repr_mimebundle_()
    assert repr(one) == shown["text/plain"] == one.text
    assert '<th scope="col"' in shown["text/html"]
    assert one.command in shown["text/html"]
    assert not Tags(shown["text/html"]).open


@pytest.mark.parametrize("kind", ["ept-walk", "vring-layout"])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_an_answer_with_a_picture_has_the_picture_in_words_too(kind, level):
    answer = problem(kind, 5, level).answer
    shown = answer._repr_mimebundle_()
    assert "<svg" in shown["text/html"]
    assert shown["text/plain"] == f"{answer.text}\n\n{answer.picture.text}"


def test_an_answer_without_a_picture():
    answer = problem("ari", 5).answer
    assert answer.picture is None
    assert answer._repr_mimebundle_() == {"text/html": answer.html, "text/plain": repr(answer)}
