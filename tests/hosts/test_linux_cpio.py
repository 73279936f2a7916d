"""The first file system of Linux as an archive, read again by a reader that the test has."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.hosts import linux_cpio
from virtlab.hosts.linux_cpio import TRAILER, Entry, archive, file, folder, link

FIELDS = 13


def entries_of(data):
    """Every entry as the kernel's unpacker walks: path -> (numbers, data); after the last, where.

    buffer-format.rst: 6 bytes of magic, 13 numbers of 8 digits, the path with its zero byte up to a
    multiple of 4, the data up to a multiple of 4.
    """
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(FIELDS)]
        size, path_size = numbers[6], numbers[11]
        path = data[at + 110 : at + 110 + path_size]
        assert path[-1:] == b"\0"
        at += -(-(110 + path_size) // 4) * 4
        content = data[at : at + size]
        assert len(content) == size
        at += -(-size // 4) * 4
        path = path[:-1].decode()
        if path == TRAILER:
            return found, at
        assert path not in found
        found[path] = numbers, content


def test_an_entry_is_header_path_and_data_each_up_to_a_multiple_of_four():
    data = archive([file("a", b"12345")])
    numbers = [1, stat.S_IFREG | 0o644, 0, 0, 1, 0, 5, 0, 0, 0, 0, 2, 0]
    head = b"070701" + b"".join(b"%08X" % number for number in numbers)
    assert data.startswith(head + b"a\0" + b"12345" + bytes(3) + b"070701")
    assert len(head) == 110
    assert data.endswith(b"0000000B00000000" + b"TRAILER!!!\0" + bytes(3))
    assert len(data) % 4 == 0


def test_files_programs_links_and_the_folders_above_them():
    found, _ = entries_of(
        archive([link("bin/sh", "busybox"), file("bin/busybox", b"\x7fELF", program=True)])
    )
    kinds = {path: (numbers[1], content) for path, (numbers, content) in found.items()}
    assert kinds == {
        "bin": (stat.S_IFDIR | 0o755, b""),
        "bin/busybox": (stat.S_IFREG | 0o755, b"\x7fELF"),
        "bin/sh": (stat.S_IFLNK | 0o777, b"busybox"),
    }


def test_a_folder_comes_before_what_is_in_it_and_each_has_a_number_of_its_own():
    found, _ = entries_of(archive([file("b/c/d", ""), file("b-", ""), file("b/a", "")]))
    assert list(found) == ["b", "b-", "b/a", "b/c", "b/c/d"]
    assert [numbers[0] for numbers, _ in found.values()] == [1, 2, 3, 4, 5]


def test_text_is_utf_8():
    found, _ = entries_of(archive([file("ä", "ö")]))
    assert found["ä"][1] == "ö".encode()


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=9), max_size=6)


@given(FILES, st.randoms())
def test_the_same_entries_give_the_same_bytes_and_come_back(files, random):
    files = {path: data for path, data in files.items() if not is_folder(path, files)}
    entries = [file(path, data) for path, data in files.items()]
    data = archive(entries)
    found, end = entries_of(data)
    assert end == len(data)
    assert files == {
        path: content for path, (numbers, content) in found.items() if stat.S_ISREG(numbers[1])
    }
    random.shuffle(entries)
    assert archive(entries) == data


def is_folder(path, files):
    return any(other.startswith(f"{path}/") for other in files)


def test_an_archive_may_follow_another():
    first, second = archive([file("a", "1")]), archive([file("a", "2")])
    _, end = entries_of(first + second)
    assert end == len(first)
    assert entries_of((first + second)[end:])[0]["a"][1] == b"2"


@pytest.mark.parametrize(
    "path", ["", ".", "/a", "a/", "a//b", "./a", "../a", "a/../b", "a\0b", TRAILER]
)
def test_a_path_is_a_plain_relative_one(path):
    with pytest.raises(ValueError, match="is no path in an archive"):
        archive([file(path, "")])


def test_a_path_comes_once():
    with pytest.raises(ValueError, match="'a' comes twice"):
        archive([file("a", "1"), folder("a")])


def test_what_an_entry_lies_in_is_a_folder():
    with pytest.raises(ValueError, match="'a/b' lies in 'a', which is no folder"):
        archive([file("a", ""), file("a/b", "")])
    archive([folder("a"), file("a/b", "")])


def test_a_size_has_eight_digits(monkeypatch):
    monkeypatch.setattr(linux_cpio, "MOST", 3)
    with pytest.raises(ValueError, match="'a' has 4 bytes: at most 3 fit"):
        archive([Entry("a", stat.S_IFREG, b"1234")])
