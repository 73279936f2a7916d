"""The few ways in which something can be wrong, and who gets to see each.

`GuestError`  the guest broke a rule of a specification. Caught once, at the device's
              transport; the guest sees a status bit or an interrupt, never an exception.
`DmaFault`    a device reached for memory it may not touch, or that is not there.
`FileError`   a file given to a tool is not what it should be. It names the file and the
              place in it, and prints as one line.

Misuse of the library is `ValueError` or `TypeError`, and our own bugs are never caught.
An address where nothing answers is no error at all: it reads as all ones.
"""

from __future__ import annotations

from os import PathLike


class GuestError(Exception):
    """The guest broke a rule: `why` in words, `spec` the clause (`"virtio 1.3 2.7.5.3"`)."""

    def __init__(self, why: str, spec: str = "") -> None:
        super().__init__(f"{why} ({spec})" if spec else why)
        self.why = why
        self.spec = spec


class DmaFault(Exception):
    """An access to memory by a device was refused.

    `address` and `length` (bytes) are what was asked for, in the address space of the
    object that refused; `reason` says why; `code` is the specification's reason code
    where there is one (VT-d 7.1.3), else 0.
    """

    def __init__(self, reason: str, address: int = 0, length: int = 0, code: int = 0) -> None:
        super().__init__(f"{reason}: {length} bytes at {address:#x}")
        self.reason = reason
        self.address = address
        self.length = length
        self.code = code


class FileError(ValueError):
    """A file is malformed: `path`, the `byte` where it went wrong, and `why`.

    `line` (from 1) is given for text files. The message is one line.
    """

    def __init__(
        self, path: str | PathLike[str], byte: int, why: str, line: int | None = None
    ) -> None:
        place = f"byte {byte}" if line is None else f"line {line}, byte {byte}"
        super().__init__(f"{path}: {place}: {why}")
        self.path = str(path)
        self.byte = byte
        self.line = line
        self.why = why
