"""A machine behind a socket: QEMU, with us in the place of its processor.

Any guest driver of yours, against QEMU's devices:

    with QtestMachine("pc") as machine:
        machine.out(0x3FB, 0x03)                # or: YourDriver(machine).start()
        for byte in b"hello":
            machine.out(0x3F8, byte)
        print(machine.serial.sent())            # b'hello'

The idea: QEMU starts with a ROM of three instructions, so its own processor disables interrupts
and halts. Every access then comes from here, over QEMU's test protocol. A `QtestMachine` is a
`virtlab.cpu.Cpu`, so a driver cannot tell it from our own machine.

The rule that keeps it simple: what no processor can send never reaches QEMU (some of it would
stop QEMU). It is answered here, as our bus does: all ones.

Two things differ from a real machine. Memory where nobody answers reads as zero in QEMU. And
nobody runs the INTA cycle, so `wait` asks the two 8259A by their own poll command.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from virtlab.cpu import string_length
from virtlab.hosts.polled_pics import PolledPics
from virtlab.hosts.qemu import QEMU, Qemu, find_qemu
from virtlab.hosts.qmp import Qmp, inputs
from virtlab.hosts.qtest import CHUNK, SPACES, IrqChange, Qtest, SerialLine, command_of, nobody
from virtlab.trace import Access

MOVE = 64 << 10
"""Bytes of a string move that travel in one command."""

MAX_WAIT = 5.0
"""Real seconds that `wait` waits at most."""

POLL_EVERY = 0.001
"""Real seconds between two polls of the interrupt controllers."""

TURNS = 20
"""Round trips in which QEMU's main loop hands a full FIFO to the UART, byte by byte."""


class QtestMachine:
    """QEMU's `machine` (`"pc"`, `"q35"`) as a `virtlab.cpu.Cpu`, for use in a `with`.

    `extra` are more arguments for QEMU, `ram_mib` its memory. With `paused` virtual time stands
    still: no timer fires, so every run is the same run, but no key can be pressed. `timeout`
    (seconds) bounds every receive. `qemu` is a program other than the one installed.

    `serial` is the far end of COM1, also under the name `terminal`; `keyboard` and `mouse` are
    what is plugged into the i8042. They are the backends of our own boards.

    `FileNotFoundError` where there is no QEMU; `ConnectionError`, with QEMU's last words, when it
    ends; `TimeoutError` when it does not answer. After either of these the machine is closed.
    """

    def __init__(
        self,
        machine: str = "pc",
        extra: Sequence[str] = (),
        *,
        paused: bool = False,
        ram_mib: int = 64,
        timeout: float = 10.0,
        qemu: str | None = None,
    ) -> None:
        program = qemu or find_qemu()
        if program is None:
            raise FileNotFoundError(f"{QEMU} is not installed: sudo apt install qemu-system-x86")
        arguments = ["-machine", machine, "-m", f"{ram_mib}M", *(["-S"] if paused else [])]
        arguments += ["-qtest", "chardev:qtest", "-qtest-log", "/dev/null"]
        arguments += ["-mon", "chardev=qmp,mode=control", "-serial", "chardev:serial", *extra]
        self.machine = machine
        self.paused = paused
        self._qemu = Qemu(program, arguments, ("qtest", "qmp", "serial"))
        self._qtest = Qtest(self._qemu.sockets["qtest"], timeout)
        self._qmp = Qmp(self._qemu.sockets["qmp"], timeout)
        self.serial = self.terminal = SerialLine(self._qemu.sockets["serial"], self.settle)
        self.keyboard, self.mouse = inputs(self.qmp)
        self._pics = PolledPics(self.pipeline)
        self.settle()
        with self._talking():
            self._qmp.begin()

    @staticmethod
    def available() -> str | None:
        """Where QEMU is, or None: then this class cannot be used here."""
        return find_qemu()

    def close(self) -> None:
        """End QEMU. Closing twice does nothing."""
        self._qemu.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if not self._qemu.end.alive else "paused" if self.paused else "running"
        return f"QtestMachine({self.machine!r}, {state})"

    # -- the six verbs

    def inp(self, port: int, size: int = 1) -> int:
        """`IN`: read 1, 2 or 4 bytes from `port`."""
        return self._access(False, "port", port, size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`OUT`: write 1, 2 or 4 bytes to `port`."""
        self._access(True, "port", port, size, value)

    def load(self, gpa: int, size: int = 4) -> int:
        """Read 1, 2, 4 or 8 bytes of memory space."""
        return self._access(False, "memory", gpa, size)

    def store(self, gpa: int, value: int, size: int = 4) -> None:
        """Write 1, 2, 4 or 8 bytes of memory space."""
        self._access(True, "memory", gpa, size, value)

    def read(self, gpa: int, length: int) -> bytes:
        """Read `length` bytes, as a string move does."""
        return b"".join(self._move(gpa + offset, n) for offset, n in _pieces(length))

    def write(self, gpa: int, data: bytes) -> None:
        """Write `data`, as a string move does."""
        for offset, n in _pieces(len(data)):
            self._move(gpa + offset, n, data[offset : offset + n])

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
        answers = iter(self._commands([line for line in lines if line is not None]))
        for index, (access, line) in enumerate(zip(done, lines, strict=True)):
            answer = "" if line is None else next(answers)
            if access.write:
                self._pics.snoop(access)
            else:
                value = int(answer, 16) if line is not None else nobody(access)
                done[index] = access._replace(value=value)
        return done

    def _commands(self, lines: Sequence[str]) -> list[str]:
        answers: list[str] = []
        for start in range(0, len(lines), CHUNK):
            with self._talking():
                answers += self._qtest.commands(lines[start : start + CHUNK])
            self.serial.drain()
        return answers

    # -- beside the processor

    def command(self, line: str) -> str:
        """One command of the test protocol as text, and its answer without the `OK`."""
        with self._talking():
            return self._qtest.command(line)

    @property
    def irqs(self) -> deque[IrqChange]:
        """What `command("irq_intercept_in ioapic")` asked to be told; clear it as you like."""
        return self._qtest.irqs

    @property
    def answered(self) -> int:
        """How many commands QEMU has answered: the next one's number in `irqs`."""
        return self._qtest.answered

    def qmp(self, command: str, /, **arguments: object) -> Any:
        """One command of the control channel: `qmp("stop")`. `ValueError` if QEMU refuses it."""
        with self._talking():
            return self._qmp.command(command, **arguments)

    @property
    def events(self) -> deque[str]:
        """What the control channel has told so far: `"RESET"`, `"STOP"`, ..."""
        return self._qmp.events

    def settle(self) -> None:
        """Let QEMU's main loop turn until what was sent on other sockets has arrived."""
        for _ in range(TURNS):
            self.command("endianness")

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Close the machine when a conversation is broken, and say what became of QEMU."""
        if not self._qemu.end.alive:
            raise ConnectionError("this machine is closed")
        try:
            yield
        except TimeoutError:
            self.close()
            raise TimeoutError("QEMU did not answer in time") from None
        except OSError:
            words = self._qemu.last_words()
            self.close()
            raise ConnectionError(f"QEMU has ended: {words}") from None
        except KeyboardInterrupt:
            self.close()
            raise

    # -- interrupts

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """The vector of the next interrupt, acknowledged; or None after `timeout` real ns."""
        deadline = time.monotonic() + min(timeout / 1e9, MAX_WAIT)
        while (vector := self._pics.poll()) is None and time.monotonic() < deadline:
            time.sleep(POLL_EVERY)
        return vector


def _pieces(length: int) -> Iterator[tuple[int, int]]:
    """Cut a string move into `(offset, bytes)`, each short enough for one command."""
    for offset in range(0, string_length(length), MOVE):
        yield offset, min(MOVE, length - offset)
