"""A machine behind a socket: QEMU, with us in the place of its processor.

Any guest driver of yours, against QEMU's devices (a guide with examples: `docs/remote.md`):

    with QtestMachine("pc") as machine:
        machine.out(0x3FB, 0x03)                # or: YourDriver(machine).start()
        for byte in b"hello":
            machine.out(0x3F8, byte)
        print(machine.serial.sent())            # b'hello'

The idea: QEMU starts with a ROM of three instructions, so its own processor disables interrupts
and halts. Every access then comes from here, over QEMU's test protocol. A `QtestMachine` is a
`virtlab.cpu.Cpu`, so a driver cannot tell it from our own machine. The verbs are in `qtest_verbs`.

The rule that keeps it simple: QEMU belongs to one object. After an error that breaks the
conversation the machine is closed, and each later verb says why.

Two things differ from a real machine. Memory where nobody answers reads as zero in QEMU. And
nobody runs the INTA cycle, so `wait` asks the two 8259A by their own poll command, and looks into
RAM for messages (`inbox`). Source: QEMU, docs/devel/testing/qtest. Left out: code of the guest's.
"""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from virtlab.hosts.inbox import Inbox
from virtlab.hosts.polled_pics import PolledPics
from virtlab.hosts.qemu import QEMU, Qemu, find_qemu
from virtlab.hosts.qmp import Qmp, inputs
from virtlab.hosts.qtest import CHUNK, IrqChange, Qtest, SerialLine
from virtlab.hosts.qtest_verbs import QtestVerbs
from virtlab.hosts.remote_start import NAMES, Start
from virtlab.trace import Access

MAX_WAIT = 5.0
"""Real seconds that `wait` waits at most."""

POLL_EVERY = 0.001
"""Real seconds between two polls of the interrupt controllers."""

STEPS = 1000
"""Into how many steps `wait` cuts its time, where time is stepped."""

TURNS = 20
"""Round trips in which QEMU's main loop hands a full FIFO to the UART, byte by byte."""


class QtestMachine(QtestVerbs):
    """QEMU's `machine` (`"pc"`, `"q35"`) as a `virtlab.cpu.Cpu`, for use in a `with`.

    `extra` are more arguments for QEMU: words, or one text with spaces between them. `ram_mib` is
    its memory; with `shared` that is mapped here as `ram`, and costs no messages (Linux only).

    With `paused` virtual time stands still: no timer fires, so every run is the same run, but no
    key can be pressed. With `stepped` it moves when `step` says so, and keys can be pressed. That
    needs a QEMU with the accelerator `qtest`. Else it is real time.

    `timeout` (seconds) bounds every receive. `qemu` is a program other than the one installed.

    `serial` is the far end of COM1, also under the name `terminal`; `keyboard` and `mouse` are
    what is plugged into the i8042. They are the backends of our own boards.

    `FileNotFoundError` where there is no QEMU; `ConnectionError`, with QEMU's last words, when it
    ends; `TimeoutError` when it does not answer. After either of these the machine is closed, and
    each message says so once more. `ram` stays as it was.
    """

    def __init__(
        self,
        machine: str = "pc",
        extra: str | Sequence[str] = (),
        *,
        paused: bool = False,
        stepped: bool = False,
        shared: bool = False,
        ram_mib: int = 64,
        timeout: float = 10.0,
        qemu: str | None = None,
    ) -> None:
        words = shlex.split(extra) if isinstance(extra, str) else list(extra)
        start = Start(machine, words, paused, stepped, ram_mib, shared)
        program = qemu or find_qemu()
        if program is None:
            raise FileNotFoundError(f"{QEMU} is not installed: sudo apt install qemu-system-x86")
        self.machine = machine
        self.paused, self.stepped = paused, stepped
        self.now = 0
        self._closed = ""
        self._inboxes: list[Inbox] = []
        ram = start.file()
        self._qemu = Qemu(program, start.arguments(ram), NAMES, accel=start.accel)
        self._qtest = Qtest(self._qemu.sockets["qtest"], timeout)
        self._qmp = Qmp(self._qemu.sockets["qmp"], timeout)
        self.serial = self.terminal = SerialLine(self._qemu.sockets["serial"], self.settle)
        self.keyboard, self.mouse = inputs(self.qmp)
        self._pics = PolledPics(self.pipeline)
        self.settle()
        with self._talking():
            self._qmp.begin()
        if ram is not None:
            self.share(ram)

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
        clock = "paused" if self.paused else f"at {self.now} ns" if self.stepped else "running"
        return f"QtestMachine({self.machine!r}, {clock if self._qemu.end.alive else 'closed'})"

    # -- beside the verbs

    def commands(self, lines: Sequence[str]) -> list[str]:
        """Any number of commands of the test protocol, and their answers without the `OK`."""
        answers: list[str] = []
        for start in range(0, len(lines), CHUNK):
            with self._talking():
                answers += self._qtest.commands(lines[start : start + CHUNK])
            self.serial.drain()
        return answers

    def written(self, access: Access) -> None:
        """A write has been done: it may tell where an 8259A's vectors begin."""
        self._pics.snoop(access)

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
            raise ConnectionError(f"this machine is closed{self._closed}")
        try:
            yield
        except TimeoutError:
            raise TimeoutError(self._lose("QEMU did not answer in time")) from None
        except OSError:
            words = self._qemu.last_words()
            raise ConnectionError(self._lose(f"QEMU has ended: {words}")) from None
        except KeyboardInterrupt:
            self._lose("it was interrupted in the middle of a command")
            raise

    def _lose(self, why: str) -> str:
        """Nobody knows any more which answer belongs to what."""
        self._closed = f": {why}"
        self.close()
        return why

    # -- time and interrupts

    def step(self, ns: int) -> int:
        """Let `ns` of virtual time pass, its timers one after the other; gives the time then.

        `ValueError` unless the machine is `stepped`, and for a time that does not pass.
        """
        if not self.stepped or ns <= 0:
            why = "ns is above 0" if self.stepped else "only time that is stepped can be stepped"
            raise ValueError(f"step({ns}): {why}")
        self.now = int(self.command(f"clock_step {ns}"))
        return self.now

    def inbox(self, gpa: int) -> Inbox:
        """RAM at `gpa` to which devices may send their messages: `wait` takes them from there."""
        self._inboxes.append(Inbox(self, gpa))
        return self._inboxes[-1]

    def wait(self, timeout: int = 1_000_000_000) -> int | None:
        """The vector of the next interrupt, acknowledged; or None after `timeout` ns.

        These are real ns, or, where time is stepped, ns of that.
        """
        deadline = time.monotonic() + (MAX_WAIT if self.stepped else min(timeout / 1e9, MAX_WAIT))
        left = timeout
        while (vector := self._came()) is None:
            if time.monotonic() >= deadline or left <= 0:
                return None
            if self.stepped:
                step = min(left, max(1, timeout // STEPS))
                self.step(step)
                left -= step
            else:
                time.sleep(POLL_EVERY)
        return vector

    def _came(self) -> int | None:
        """An interrupt that is there: a message before a wire."""
        for inbox in self._inboxes:
            if (vector := inbox.take()) is not None:
                return vector
        return self._pics.poll()
