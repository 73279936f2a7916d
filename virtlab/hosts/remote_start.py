"""How a `QtestMachine` is started: what is asked of it, checked, and the words for QEMU.

    QtestMachine("q35", "-device edu", shared=True)
        -machine q35,memory-backend=ram -object memory-backend-file,...  -qtest chardev:qtest ...

The idea: what QEMU would refuse it says best itself, so its words are not second-guessed. What it
would take for something else is refused here.

The rule that keeps it simple: our words come first, so those of the caller can add to them.

Source: QEMU, docs/system/invocation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtlab.hosts.vhost_user_ram import FileRam

NAMES = ("qtest", "qmp", "serial")
"""The conversations with such a QEMU: its test protocol, its control channel, its serial port."""

MOST_MIB = 2048
"""The largest memory: above it a PC's RAM has a hole in it."""


class Start(NamedTuple):
    """The arguments of a `QtestMachine`. `TypeError` and `ValueError` from `arguments`."""

    machine: str
    extra: Sequence[str]
    paused: bool
    stepped: bool
    ram_mib: int
    shared: bool

    @property
    def accel(self) -> str:
        """What stands for the processor: real instructions, or none at all and a clock by hand."""
        return "qtest" if self.stepped else "tcg"

    def file(self) -> FileRam | None:
        """The memory, if it is shared. `TypeError` and `ValueError` for what cannot be started."""
        self._check()
        if not self.shared:
            return None
        from virtlab.hosts.vhost_user_ram import FileRam  # Linux only, so not for everybody

        return FileRam(self.ram_mib << 20)

    def _check(self) -> None:
        words: list[object] = [self.machine, *self.extra]
        for word in words:
            if not isinstance(word, str):
                raise TypeError(f"QEMU's arguments are text, not {word!r}")
        if not 0 < self.ram_mib <= MOST_MIB:
            raise ValueError(f"ram_mib is 1 to {MOST_MIB} MiB, not {self.ram_mib!r}")
        if self.paused and self.stepped:
            raise ValueError("time is paused or stepped, not both")

    def arguments(self, ram: FileRam | None) -> list[str]:
        """The words for QEMU, whose memory is `ram` if there is one."""
        words = ["-machine", self.machine + (",memory-backend=ram" if ram else "")]
        words += ["-m", f"{self.ram_mib}M"]
        if ram is not None:
            # QEMU opens the file by the name that Linux gives our descriptor.
            path = f"/proc/{os.getpid()}/fd/{ram.fd}"
            size = f"size={self.ram_mib}M,mem-path={path},share=on"
            words += ["-object", f"memory-backend-file,id=ram,{size}"]
        words += ["-S"] if self.paused else []
        words += ["-rtc", "clock=vm"] if self.stepped else []
        words += ["-qtest", "chardev:qtest", "-qtest-log", "/dev/null"]
        words += ["-mon", "chardev=qmp,mode=control", "-serial", "chardev:serial"]
        return [*words, *self.extra]
