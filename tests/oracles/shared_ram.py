"""QEMU's memory, mapped here: a load or store of RAM is then no message at all.

    machine = QtestMachine("q35,memory-backend=ram", backend(path, 64))
    cpu = SharedRam(machine, path)

The registers still go over the test protocol. So a driver works as fast as memory, and rings a bell
in one round trip.
"""

from __future__ import annotations

import mmap
import time

LOW = 1 << 20
"""Below lie a PC's holes, ROMs and the like; there every access is a message."""

NAP = 50e-6
"""Seconds that `wait` lets QEMU work."""

KINDS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def backend(path, mebibytes):
    """QEMU's arguments for a RAM that is the file `path`."""
    path.write_bytes(b"")
    size = f"size={mebibytes}M,mem-path={path},share=on"
    return ["-object", f"memory-backend-file,id=ram,{size}"]


class SharedRam:
    """A Cpu: RAM is the mapped file, the rest is `machine`. A number is read in one access."""

    def __init__(self, machine, path):
        self.machine = machine
        with path.open("r+b") as file:
            self.ram = memoryview(mmap.mmap(file.fileno(), 0))
        self.words = {size: self.ram.cast(kind) for size, kind in KINDS.items()}

    def _is_ram(self, gpa, size):
        return LOW <= gpa and gpa + size <= len(self.ram)

    def load(self, gpa, size=4):
        if self._is_ram(gpa, size):
            assert gpa % size == 0
            return self.words[size][gpa // size]
        return self.machine.load(gpa, size)

    def store(self, gpa, value, size=4):
        if self._is_ram(gpa, size):
            assert gpa % size == 0
            self.words[size][gpa // size] = value
        else:
            self.machine.store(gpa, value, size)

    def read(self, gpa, length):
        if self._is_ram(gpa, length):
            return bytes(self.ram[gpa : gpa + length])
        return self.machine.read(gpa, length)

    def write(self, gpa, data):
        if self._is_ram(gpa, len(data)):
            self.ram[gpa : gpa + len(data)] = data
        else:
            self.machine.write(gpa, data)

    def inp(self, port, size=1):
        return self.machine.inp(port, size)

    def out(self, port, value, size=1):
        self.machine.out(port, value, size)

    def wait(self, timeout=1_000_000_000):
        """Nobody is called: the driver polls, and QEMU gets a moment to work."""
        time.sleep(NAP)
