"""The journal of a run: what is done is kept, what is half is healed, what differs is refused."""

import pytest

from tests.course.grading.made import FULL, made
from virtlab.course.cli import CommandError
from virtlab.course.grading.journal import Journal, head_of, path_of
from virtlab.course.grading.submissions import Submission
from virtlab.errors import FileError

HEAD = {"seed": 7, "course": "84b9", "options": {"task": []}}


@pytest.fixture
def path(tmp_path):
    """A journal with two results."""
    path = path_of(tmp_path / "grades.csv")
    with Journal.begin(path, HEAD) as journal:
        journal.add(FULL)
        journal.add(made("ben"))
    return path


def submission(student="ada", digest="00ff", file=""):
    return Submission(student, "ps01", file or f"{student}/ps01.ipynb", digest)


def test_it_lies_beside_the_output(path):
    assert path.name == "grades.csv.journal"


def test_results_come_back_with_their_seconds(path):
    with Journal.resume(path, HEAD) as journal:
        assert journal.done == {FULL.key: FULL, ("ben", "ps01"): made("ben")}
        assert journal.done[FULL.key].run == FULL.run


def test_only_what_has_not_changed_is_known(path):
    with Journal.resume(path, HEAD) as journal:
        assert journal.known([submission(), submission("eve")]) == [FULL]
        assert journal.known([submission(digest="0100"), submission(file="elsewhere")]) == []


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_half_written_last_line_is_cut_off(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal.resume(path, HEAD) as journal:
        assert list(journal.done) == [FULL.key]
        assert path.read_bytes().endswith(b"\n")
        journal.add(made("ben"))
    assert path.read_bytes() == whole


def test_a_new_journal_forgets_what_was_there(path):
    Journal.begin(path, HEAD).file.close()
    with Journal.resume(path, HEAD) as journal:
        assert journal.done == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seed", "has another seed"),
        ("course", "another version of the course or of its checks"),
        ("options", "other options"),
    ],
)
def test_a_journal_of_another_run_is_refused(path, name, words):
    with pytest.raises(CommandError, match=words) as error:
        Journal.resume(path, {**HEAD, name: 8})
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "raw", [b"{}\n", b'{"journal": "virtlab journal 0"}\n', b"[" * 100_000 + b"\n"]
)
def test_another_file_is_no_journal(path, raw):
    path.write_bytes(raw)
    with pytest.raises(FileError, match=r"not a( line of a)? journal"):
        Journal.resume(path, HEAD)
    with pytest.raises(FileError, match=r"not a( line of a)? journal"):
        head_of(path)


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b"\xff"])
def test_a_broken_line_within_is_named(path, line):
    first, *rest = path.read_bytes().splitlines(True)
    path.write_bytes(b"".join([first, line, b"\n", *rest]))
    with pytest.raises(FileError, match="line 2, byte") as error:
        Journal.resume(path, HEAD)
    assert error.value.byte == len(first)


def test_a_result_that_is_not_whole_is_named(path):
    with open(path, "ab") as file:
        file.write(b'{"student": "eve"}\n')
    with pytest.raises(FileError, match="a result in it is not whole"):
        Journal.resume(path, HEAD)


def test_the_seed_stands_in_the_head(path):
    assert head_of(path)["seed"] == 7


def test_a_journal_that_was_stopped_before_its_first_line_begins_anew(path):
    path.write_bytes(b'{"journal": "virtlab jour')
    with Journal.resume(path, HEAD) as journal:
        assert journal.done == {}
    assert head_of(path) == {"journal": "virtlab journal 1", **HEAD}


def test_a_journal_without_a_seed_is_none(path):
    path.write_bytes(b'{"journal": "virtlab journal 1"}\n')
    with pytest.raises(FileError, match=r"not a( line of a)? journal"):
        head_of(path)
