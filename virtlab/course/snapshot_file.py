"""The arrays of a snapshot file, read from an `.npz` that may be hostile.

An `.npz` is a zip archive of `.npy` files. NumPy's own loader trusts what such a file says of its
size, and can run code from it where pickles are allowed.

The rule that keeps it simple: four members, each with its type and shape declared here. The size
is compared before a byte is unpacked, the type and the shape before an array is made. So a file
costs at most the memory that a true one costs.

Source: the `.npy` format, versions 1.0 and 2.0 (NumPy Enhancement Proposal 1). Left out: archives
in the zip64 form, which a snapshot of this size never needs.
"""

from __future__ import annotations

import ast
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from virtlab.errors import FileError
from virtlab.memory import PAGE
from virtlab.wire import u8, u64

MAX_PAGES = 1 << 14
"""Pages that a snapshot may hold: 64 MiB."""

MAX_ZERO_PAGES = 1 << 16
"""Pages of zeros that it may name: 256 MiB of memory that costs nothing until it is written."""

MAX_MANIFEST = 1 << 20
"""Bytes of the manifest."""

MAX_FILE = (MAX_PAGES + 256) * PAGE
"""Bytes of the file: all pages that it may hold, not compressed."""

_HEADER = 4096
"""Bytes that an `.npy` header may take; NumPy writes 128."""

_DIRECTORY = 4096
"""Bytes that the archive's list of four members may take."""

_END = struct.Struct("<4s8xII2x")
"""The record that ends an archive: signature, size of the list of members, where it begins."""


_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for an archive that lies: names that are no text, places that are none."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What `np.savez` and `np.savez_compressed` use. Others may ask for memory as they like."""

_MAGIC = b"\x93NUMPY"
_SIZES = {b"\1\0": struct.Struct("<H"), b"\2\0": struct.Struct("<I")}
_KEYS = ("descr", "fortran_order", "shape")


class Member(NamedTuple):
    """One array of the file: its name, element type, bytes in a row, and how many rows at most."""

    name: str
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    most: int

    @property
    def limit(self) -> int:
        """Bytes of the member, unpacked, at most."""
        return _HEADER + self.most * self.dtype.itemsize * math.prod(self.row)


MEMBERS = (
    Member("page_addr", u64, (), MAX_PAGES),
    Member("pages", u8, (PAGE,), MAX_PAGES),
    Member("zero_pages", u64, (), MAX_ZERO_PAGES),
    Member("manifest", u8, (), MAX_MANIFEST),
)
"""What a `virtlab-snapshot/1` holds."""


class Arrays(NamedTuple):
    """The four arrays, and the byte of the file where the manifest is kept."""

    page_addr: npt.NDArray[np.uint64]
    pages: npt.NDArray[np.uint8]
    zero_pages: npt.NDArray[np.uint64]
    manifest: npt.NDArray[np.uint8]
    manifest_byte: int


def read_arrays(data: bytes, path: str) -> Arrays:
    """The arrays in `data`, the whole of the file; `FileError` calls it `path`."""
    _check_directory(data, path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = {each.filename: each for each in archive.infolist()}
            addresses, pages, zeros, manifest = (
                _member(archive, found, each, path) for each in MEMBERS
            )
        return Arrays(addresses, pages, zeros, manifest, found["manifest.npy"].header_offset)
    except FileError:
        raise
    except _DAMAGE as error:
        raise FileError(path, 0, f"the archive is damaged: {error}") from error


def _check_directory(data: bytes, path: str) -> None:
    """The list of members is short: `zipfile` reads all of it at once."""
    if len(data) > MAX_FILE:
        raise FileError(path, MAX_FILE, f"a snapshot has at most {MAX_FILE >> 20} MiB")
    at = data.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(data):
        raise FileError(path, 0, "not an .npz archive")
    _, size, _ = _END.unpack_from(data, at)
    if size > _DIRECTORY or data[max(at - 20, 0) : at].startswith(b"PK\6\7"):
        raise FileError(path, at, f"a snapshot's archive lists {len(MEMBERS)} arrays, no more")


def _member(
    archive: zipfile.ZipFile, found: dict[str, zipfile.ZipInfo], member: Member, path: str
) -> npt.NDArray[Any]:
    """One array, of the type and the shape that it must have."""
    info = found.get(f"{member.name}.npy")
    if info is None:
        raise FileError(path, 0, f"no array {member.name!r}; a snapshot has {_names()}")

    def fail(why: str) -> NoReturn:
        raise FileError(path, info.header_offset, f"{member.name}: {why}")

    if info.compress_type not in _PACKINGS:
        fail(f"packed in way {info.compress_type}; it must be stored or deflated")
    if info.file_size > member.limit:
        fail(f"{info.file_size} bytes unpacked; it may have {member.limit}")
    with archive.open(info) as file:
        npy = file.read(member.limit)
    descr, fortran, shape, start = _header(npy, fail)
    if descr != member.dtype.str or shape[1:] != member.row or len(shape) != 1 + len(member.row):
        rows = ", ".join(["n", *map(str, member.row)])
        fail(f"{descr!r} of shape {shape}; it must be {member.dtype.str!r} of shape ({rows})")
    count = math.prod(shape)
    if fortran and member.row:
        fail("columns first; it must be rows first")
    if not 0 <= shape[0] <= member.most or len(npy) - start != count * member.dtype.itemsize:
        fail(f"shape {shape}, and {len(npy) - start} bytes")
    return np.frombuffer(npy, member.dtype, count, start).reshape(shape)


def _header(npy: bytes, fail: Callable[[str], NoReturn]) -> tuple[str, bool, tuple[int, ...], int]:
    """Type, whether columns come first, shape, and the byte where the elements begin.

    Signature, version, bytes of the text, and the text: a Python dictionary of three constants.
    """
    size = _SIZES.get(npy[6:8])
    if not npy.startswith(_MAGIC) or size is None:
        fail("no .npy file of version 1.0 or 2.0")
    (length,) = size.unpack_from(npy.ljust(_HEADER), 8)
    start = 8 + size.size + length
    if start > min(_HEADER, len(npy)):
        fail(f"an .npy header of {length} bytes")
    try:
        text = npy[8 + size.size : start].decode("latin-1")
        descr, fortran, shape = map(ast.literal_eval(text).get, _KEYS)
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError):
        fail("a damaged .npy header")
    if not isinstance(shape, tuple) or not all(type(each) is int for each in shape):
        fail("an .npy header without a shape")
    return str(descr)[:_HEADER], bool(fortran), shape, start


def _names() -> str:
    return ", ".join(member.name for member in MEMBERS)
