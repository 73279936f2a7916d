"""The two lines of a Linux: a text that has no end, and messages that come in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.hosts import linux_lines
from virtlab.hosts.linux_lines import Console, Report, Reports, text_of


def test_a_text_has_line_ends_of_its_own_and_what_is_no_text_is_marked():
    assert text_of(b"a\r\nb\xff\n\x1b[6nc\r") == "a\nb�\nc\r"


def test_what_was_found_once_is_not_found_again():
    console = Console()
    console.add(b"one tw")
    assert not console.find(b"two")
    console.add(b"o two")
    assert [console.find(b"two") for _ in range(3)] == [True, True, False]
    assert not console.find(b"one")
    assert console.text == "one two two"


def test_news_are_told_once():
    console = Console()
    console.add(b"a\r\n")
    console.add(b"b")
    assert console.take() == b"a\r\nb"
    assert console.take() == b""
    assert console.text == "a\nb"


def test_no_more_than_the_end_is_kept(monkeypatch):
    monkeypatch.setattr(linux_lines, "KEPT", 10)
    console = Console()
    console.add(b"0123456789")
    assert console.find(b"7")
    console.add(b"abcd")
    assert console.text == "456789abcd"
    assert not console.find(b"56")
    assert console.find(b"8")
    assert console.take() == b"456789abcd"
    console.add(b"x" * 30)
    assert console.text == "x" * 10
    assert [console.find(b"x" * 10), console.find(b"x")] == [True, False]


def test_a_message_is_a_line_behind_a_separator_and_the_text_before_it():
    reports = Reports()
    reports.add(b"\x1eready\nsome\r\ntext\x1estatus 3\n")
    assert reports.take() == Report("ready", "")
    assert reports.take() == Report("status 3", "some\ntext")
    assert reports.take() is None


@given(st.lists(st.integers(1, 5), max_size=12))
def test_messages_may_come_in_any_pieces(sizes):
    whole = b"a\nb\x1estatus 0\n\x1ex\n"
    reports, at = Reports(), 0
    for size in [*sizes, len(whole)]:
        reports.add(whole[at : at + size])
        at += size
    assert [reports.take() for _ in range(3)] == [
        Report("status 0", "a\nb"),
        Report("x", ""),
        None,
    ]


@pytest.mark.parametrize("flood", [b"x", b"\x1ex", b"\x1ex\n"])
def test_a_guest_that_floods_fills_no_memory(flood, monkeypatch):
    monkeypatch.setattr(linux_lines, "KEPT", 100)
    reports = Reports()
    for _ in range(5000):
        reports.add(flood)
    assert len(reports._data) <= 100
    assert len(reports._whole) <= linux_lines.MESSAGES
