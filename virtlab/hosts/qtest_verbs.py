"""The six verbs of a `Cpu` as lines of QEMU's test protocol, one at a time or many in one message.

    cpu.out(0x3F8, 0x41)        outb 0x3f8 0x41
    cpu.load(0x1000, 8)         readq 0x1000
    cpu.read(0x2000, 5000)      b64read 0x2000 0x1388

The idea: a verb is an `Access`, an access is a line, and `pipeline` sends many lines at once.

The rule that keeps it simple: what no processor can send never reaches QEMU (some of it would
stop QEMU). It is answered here, as our bus does: all ones.

With RAM that is shared, loads and stores of RAM are no messages: they touch the mapped bytes. Below
1 MiB a PC has holes and ROMs, so there each access is a message all the same.

Source: QEMU, docs/devel/testing/qtest.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from virtlab.cpu import string_length
from virtlab.hosts.qtest import SPACES, command_of, nobody
from virtlab.trace import Access

if TYPE_CHECKING:
    from virtlab.hosts.vhost_user_ram import FileRam, RamCpu

MOVE = 64 << 10
"""Bytes of a string move that travel in one command."""

LOW = 1 << 20
"""Below lie a PC's holes and ROMs."""


class QtestVerbs:
    """A `virtlab.cpu.Cpu` but for `wait`. `ram` is QEMU's memory, if it is shared with us.

    Who inherits carries lines over (`command`, `commands`), and may look at writes (`written`).
    """

    ram: FileRam | None = None
    _shared: RamCpu | None = None

    def command(self, line: str) -> str:
        """One command as text, and its answer without the `OK`."""
        raise NotImplementedError

    def commands(self, lines: Sequence[str]) -> list[str]:
        """Any number of commands, and their answers."""
        raise NotImplementedError

    def written(self, access: Access) -> None:
        """A write has been done by a message."""

    def share(self, ram: FileRam) -> None:
        """QEMU's memory is `ram`."""
        from virtlab.hosts.vhost_user_ram import RamCpu  # Linux only, so not for everybody

        self.ram, self._shared = ram, RamCpu(ram)

    # -- the six verbs

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: read 1, 2 or 4 bytes from `port`."""
        return self._access(False, "port", port, size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: write 1, 2 or 4 bytes to `port`."""
        self._access(True, "port", port, size, value)

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes of memory space."""
        ram = self._ram_at(gpa, size) if size in SPACES["memory"].sizes else None
        return self._access(False, "memory", gpa, size) if ram is None else ram.load(gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes of memory space."""
        ram = self._ram_at(gpa, size) if size in SPACES["memory"].sizes else None
        if ram is None:
            self._access(True, "memory", gpa, size, value)
        else:
            ram.store(gpa, value, size)

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes, as a string move does."""
        ram = self._ram_at(gpa, length)
        if ram is not None:
            return ram.read(gpa, length)
        return b"".join(self._move(gpa + offset, n) for offset, n in _pieces(length))

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data`, as a string move does."""
        ram = self._ram_at(gpa, len(data))
        if ram is not None:
            ram.write(gpa, data)
            return
        for offset, n in _pieces(len(data)):
            self._move(gpa + offset, n, data[offset : offset + n])

    def _ram_at(self, gpa: int, length: int) -> RamCpu | None:
        """The memory here, if all of these bytes are in it."""
        if self._shared is None or self.ram is None:
            return None
        return self._shared if LOW <= gpa <= gpa + length <= self.ram.size else None

    def _move(self, gpa: int, length: int, data: bytes | None = None) -> bytes:
        """One piece of a string move: a write of `data`, or a read."""
        if not 0 <= gpa <= (1 << SPACES["memory"].bits) - length:
            return b"\xff" * length
        if data is None:
            return base64.b64decode(self.command(f"b64read {gpa:#x} {length:#x}"))
        self.command(f"b64write {gpa:#x} {length:#x} {base64.b64encode(data).decode('ascii')}")
        return b""

    def _access(self, write: bool, space: str, address: int, size: int, value: int = 0) -> int:
        return self.pipeline([Access(0, write, space, address, size, value)])[0].value

    # -- many accesses at once

    def pipeline(self, accesses: Iterable[Access]) -> list[Access]:
        """Do `accesses` in order, many in one message; give them back with QEMU's answers.

        `region` is `"port"` or `"memory"`. Some thirty times as fast as one at a time.
        """
        done = list(accesses)
        lines = [command_of(access) for access in done]
        answers = iter(self.commands([line for line in lines if line is not None]))
        for index, (access, line) in enumerate(zip(done, lines, strict=True)):
            answer = "" if line is None else next(answers)
            if access.write:
                self.written(access)
            else:
                value = int(answer, 16) if line is not None else nobody(access)
                done[index] = access._replace(value=value)
        return done


def _pieces(length: int) -> Iterator[tuple[int, int]]:
    """Cut a string move into `(offset, bytes)`, each short enough for one command."""
    for offset in range(0, string_length(length), MOVE):
        yield offset, min(MOVE, length - offset)
