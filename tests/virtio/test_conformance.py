"""The tables of docs/conformance/: complete by their own manifest, and every proof is a test.

That the manifest is right is a question to the specification: `scripts/clauses.py SPEC --check`.
"""

import re
from collections import Counter

import pytest

from scripts import conformance, spec_text
from scripts.conformance import COLUMNS, MUSTS, REASONS, WHO

ROWS = conformance.rows()
PRESENT = [one for one in conformance.manifest() if one.table is not None]

# -- the tables


def test_every_table_is_there():
    for name in conformance.tables():
        assert (conformance.FOLDER / f"{name}.tsv").exists(), name
    files = {file.stem for file in conformance.FOLDER.glob("*.tsv")}
    assert files == {*conformance.tables(), "manifest"}


@pytest.mark.parametrize("part", PRESENT, ids=lambda part: part.section)
def test_each_part_has_as_many_rows_as_the_specification_has_statements(part):
    mine = [row for row in ROWS if conformance.part(row.clause) == part]
    assert len(mine) == part.statements
    assert {row.table for row in mine} <= {part.table}


def test_an_id_is_there_once():
    twice = [id_ for id_, count in Counter(row.id for row in ROWS).items() if count > 1]
    assert twice == []


@pytest.mark.parametrize("name", conformance.tables())
def test_the_columns_are_well_formed(name):
    lines = (conformance.FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    assert tuple(lines[0].split("\t")) == COLUMNS
    for row in (row for row in ROWS if row.table == name):
        assert re.fullmatch(r"[0-9a-f]{8}", row.id), row
        assert re.fullmatch(r"\d+(\.\d+)*", row.clause), row
        assert row.who in WHO, row
        assert row.must in MUSTS, row
        assert row.what == row.what.strip() != "", row
        assert row.proof == " ".join(row.proof.split()) != "", row


def test_a_rule_is_in_our_words_and_short():
    long = [row.id for row in ROWS if len(row.what) > 160 or "MUST" in row.what]
    assert long == []


def test_every_proof_is_a_test_that_exists():
    missing = [(row.id, test) for row in ROWS for test in row.tests if not conformance.exists(test)]
    assert missing == []


def test_a_test_that_does_not_exist_is_not_found():
    here = "tests/virtio/test_conformance.py::"
    assert conformance.exists(f"{here}test_every_table_is_there")
    assert not conformance.exists(f"{here}test_nothing_at_all")
    assert not conformance.exists(f"{here}missing")
    assert not conformance.exists("tests/virtio/nobody.py::test_every_table_is_there")


def test_every_reason_is_a_known_one():
    reasons = {row.reason for row in ROWS} | {one.reason for one in conformance.manifest()}
    assert reasons - {None} <= set(REASONS)


def test_the_counts_on_the_page_are_those_of_the_tables():
    """If this fails: `python scripts/conformance.py`."""
    page = conformance.PAGE.read_text(encoding="utf-8")
    assert conformance.written(page) == page
    assert spec_text.COMMIT in (conformance.FOLDER / "manifest.tsv").read_text(encoding="utf-8")


def test_a_clause_belongs_to_the_smallest_part_around_it():
    assert conformance.part("2.8.16").table == "packed"
    assert conformance.part("2.7.5.2").table == "basics"
    assert conformance.part("5.20.1").reason == "other device"
    with pytest.raises(ValueError, match="no part for clause 9"):
        conformance.part("9.1")
