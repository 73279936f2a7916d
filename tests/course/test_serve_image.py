"""A disk in a file: mapped if all of its room is there, and else never mapped at all."""

from __future__ import annotations

import errno
import mmap
import os
import random

import pytest

from tests.descriptors import fd_count
from virtlab.backends import image_file
from virtlab.backends.disk import FlatStorage, ThinStorage
from virtlab.backends.image_file import ThinImage, WholeImage, open_image
from virtlab.errors import FileError

SECTORS = 512
BYTES = SECTORS * 512


@pytest.fixture
def thin(tmp_path):
    """A file that is one hole."""
    path = tmp_path / "thin.img"
    with path.open("wb") as file:
        file.truncate(BYTES)
    return path


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.img"
    path.write_bytes(random.Random(4).randbytes(BYTES))
    return path


def room(path):
    return path.stat().st_blocks * 512


def test_which_it_is_depends_on_the_room_that_it_takes(whole, thin):
    with open_image(whole) as image:
        assert isinstance(image, WholeImage)
        assert isinstance(image, FlatStorage)
    image = open_image(thin)
    assert isinstance(image, ThinImage)
    assert isinstance(image, ThinStorage)
    assert not isinstance(image, FlatStorage)
    assert repr(image) == f"ThinImage({thin}, {SECTORS} sectors)"
    image.close()


@pytest.mark.parametrize("at", [0, BYTES // 2, BYTES - 4096])
def test_one_hole_is_enough(whole, at):
    with whole.open("r+b") as file, mmap.mmap(file.fileno(), BYTES) as contents:
        contents.madvise(mmap.MADV_REMOVE, at, 4096)
    image = open_image(whole)
    assert isinstance(image, ThinImage)
    image.close()


def test_a_file_system_that_knows_no_holes_is_asked_for_the_room(thin, monkeypatch):
    """There `SEEK_HOLE` gives the end of the file (lseek(2))."""
    monkeypatch.setattr(os, "lseek", lambda fd, at, how: BYTES)
    image = open_image(thin)
    assert isinstance(image, ThinImage)
    image.close()


def test_thin_and_whole_are_the_same_disk(whole, thin):
    """A random run of everything, beside a model."""
    for path in (whole, thin):
        content = bytearray(path.read_bytes())
        random_ = random.Random(6)
        image = open_image(path)
        for _ in range(300):
            sector, count = random_.randrange(SECTORS - 40), random_.randrange(40)
            part = slice(sector * 512, (sector + count) * 512)
            what = random_.choice(["read", "write", "discard", "flush"])
            if what == "write":
                data = random_.randbytes(count * 512)
                image.write(sector, data)
                content[part] = data
            elif what == "discard":
                image.discard(sector, count)
                content[part] = bytes(count * 512)
            elif what == "flush":
                image.flush()
            assert image.read(sector, count) == content[part]
        image.close()
        assert path.read_bytes() == content


def test_a_thin_image_takes_and_gives_room(thin):
    image = open_image(thin)
    image.write(64, bytes(range(256)) * 256)
    image.flush()
    taken = room(thin)
    assert taken >= 1 << 16
    image.discard(64, 128)
    assert room(thin) < taken
    assert image.read(0, SECTORS) == bytes(BYTES)
    image.close()


def test_a_whole_image_keeps_its_room(whole):
    with open_image(whole) as image:
        taken = room(whole)
        image.discard(0, SECTORS)
        image.flush()
        assert room(whole) == taken
    assert whole.read_bytes() == bytes(BYTES)


def test_where_holes_cannot_be_made_there_are_zeros(thin, monkeypatch):
    monkeypatch.setattr(image_file, "SLAB", 8192)
    image = open_image(thin)
    image.write(0, b"\x11" * BYTES)

    class Window(mmap.mmap):
        def madvise(self, *_):
            raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(mmap, "mmap", Window)
    image.discard(9, 100)
    image.close()
    data = thin.read_bytes()
    assert data == b"\x11" * 4608 + bytes(51200) + b"\x11" * (BYTES - 55808)


def test_a_medium_without_room_is_an_error_that_is_told(thin, monkeypatch):
    image, told = open_image(thin), []
    image.failed = told.append
    written, pwrite = [], os.pwrite

    def short(fd, data, at):
        """Room for one page more, and then for none."""
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(at)
        return pwrite(fd, data[:4096], at)

    monkeypatch.setattr(os, "pwrite", short)
    with pytest.raises(OSError, match="No space left"):
        image.write(0, b"\x22" * 8192)
    assert [error.errno for error in told] == [errno.ENOSPC]
    monkeypatch.undo()
    assert image.read(0, 16) == b"\x22" * 4096 + bytes(4096)
    image.close()


def test_writes_and_reads_go_on_where_they_were_cut(thin, monkeypatch):
    image = open_image(thin)
    pread, pwrite = os.pread, os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:700], at))
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 900), at))
    data = random.Random(1).randbytes(5120)
    image.write(3, data)
    assert image.read(3, 10) == data
    image.close()


def test_a_flush_that_fails_is_told(whole, thin, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    told = []
    image = open_image(thin)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        image.flush()
    image.failed = told.append
    with pytest.raises(OSError, match="Input/output error"):
        image.flush()
    with pytest.raises(OSError, match="Input/output error"):
        image.close()
    image.close()

    class Broken(mmap.mmap):
        flush = fail

    monkeypatch.setattr(mmap, "mmap", Broken)
    other = open_image(whole)
    other.failed = told.append
    with pytest.raises(OSError, match="Input/output error"):
        other.flush()
    assert len(told) == 3


def test_a_file_that_became_shorter_is_an_error(thin):
    image, told = open_image(thin), []
    image.failed = told.append
    os.truncate(thin, 4096)
    with pytest.raises(OSError, match="shorter"):
        image.read(0, 9)
    assert image.read(0, 8) == bytes(4096)
    assert len(told) == 1
    image.close()


@pytest.mark.parametrize("kind", ["whole", "thin"])
def test_to_read_only(kind, request):
    path = request.getfixturevalue(kind)
    path.chmod(0o400)
    image = open_image(path, read_only=True)
    assert image.read_only
    assert image.read(0, SECTORS) == path.read_bytes()
    for change in (lambda: image.write(0, bytes(512)), lambda: image.discard(0, 1)):
        with pytest.raises(ValueError, match="only be read"):
            change()
    image.flush()
    image.close()


def test_what_is_not_on_the_disk_is_misuse(thin):
    image = open_image(thin)
    for sector, count in ((-1, 1), (0, -1), (SECTORS, 1), (0, SECTORS + 1)):
        with pytest.raises(ValueError, match="not all among"):
            image.read(sector, count)
        with pytest.raises(ValueError, match="not all among"):
            image.discard(sector, count)
    with pytest.raises(ValueError, match="whole sectors"):
        image.write(0, bytes(5))
    image.close()
    with pytest.raises(ValueError, match="is closed"):
        image.read(0)
    image.flush()


@pytest.mark.parametrize("kind", ["whole", "thin"])
def test_an_image_is_locked_as_long_as_it_is_open(kind, request):
    path = request.getfixturevalue(kind)
    image = open_image(path)
    for read_only in (False, True):
        with pytest.raises(FileError, match="in use"):
            open_image(path, read_only)
    image.close()
    readers = [open_image(path, read_only=True) for _ in range(2)]
    with pytest.raises(FileError, match="in use"):
        open_image(path)
    for reader in readers:
        reader.close()
    open_image(path).close()


def test_no_descriptor_is_left_behind(whole, thin, tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(b"x")
    before = fd_count()
    for path in (whole, thin, odd, tmp_path, tmp_path / "missing"):
        try:
            image = open_image(path)
        except (FileError, OSError):
            continue
        image.close()
    assert fd_count() == before
