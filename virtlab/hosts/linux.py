"""An unmodified Linux as a guest: started in QEMU, spoken to, and always ended.

    with LinuxGuest(disk("disk.img")) as guest:
        print(guest.run("mke2fs -q -t ext4 /dev/vda && mount /dev/vda /mnt && df /mnt").text)
        guest.power_off()

The idea: QEMU emulates the processor and shows the guest a PCI bus. The devices on it are a list of
QEMU's arguments (see `linux_devices`), so they may as well be ours, behind a vhost-user socket: the
guest's memory is a file that QEMU shares with whoever serves a device.

The rules that keep it simple: every wait has a bound in seconds, and whoever waits also reads. A
guest that nobody listens to stands still at its console, and loses nothing. Two errors end a
guest: `ConnectionError`, it ended too early; `TimeoutError`, it did not answer. Both quote it.

Source: QEMU, docs/system/linuxboot.rst. Left out: guests for other processors, KVM.
"""

from __future__ import annotations

import base64
import os
import selectors
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn, Self

from virtlab.hosts.linux_devices import LINES, pc, starting
from virtlab.hosts.linux_initrd import Image, linux_image
from virtlab.hosts.linux_initrd import script as script_archive
from virtlab.hosts.linux_lines import Console, Report, Reports
from virtlab.hosts.qemu import QEMU, Qemu, find_qemu

BOOT, ANSWER, TURN = 120.0, 60.0, 0.2
"""Seconds of real time: to boot, to answer a command, and of one turn of a wait."""

CHUNK = 1 << 16
"""Bytes that are read at once."""

LONGEST = 16 << 10
"""Bytes of a command. What is longer is a script."""

LAST_LINES, PANIC = 3, "Kernel panic"
"""Lines of the console that an error quotes, and a text whose line tells more than those."""

POWER_OFF = "sync; umount -a -r; poweroff -f"


class Ran(NamedTuple):
    """How a command in the guest ended: its exit `status`, and the `text` that it printed."""

    status: int
    text: str


class LinuxGuest:
    """A Linux with `devices`, a list of QEMU's arguments, for use in a `with`.

    With a `script` (text for `sh`) it runs that on its console and powers off: `wait` for it.
    Without one there is a shell on the console, and `run` runs a command beside it.

    `image` is what to boot, by default `linux_image()`; one that is not ours has only a console.
    `append` is put behind the kernel's command line; `memory_mib` and `processors` are the
    machine's. `qemu` is a program other than the one installed.

    `FileNotFoundError` says what is missing on this machine, and which package brings it.
    """

    def __init__(
        self,
        devices: Sequence[str] = (),
        script: str | None = None,
        *,
        image: Image | None = None,
        append: str = "",
        memory_mib: int = 512,
        processors: int = 2,
        qemu: str | None = None,
    ) -> None:
        program = qemu or find_qemu()
        if program is None:
            raise FileNotFoundError(f"{QEMU} is not installed: sudo apt install qemu-system-x86")
        image = image or linux_image()
        self._ours, self._scripted = image.ours, script is not None
        self._ready = False
        self._console, self._reports = Console(), Reports()
        self._initrd = tempfile.NamedTemporaryFile(suffix=".cpio")  # noqa: SIM115 - kept open
        self._initrd.write(image.initrd + (b"" if script is None else script_archive(script)))
        self._initrd.flush()
        arguments = [
            *pc(memory_mib, processors),
            *starting(image.kernel, self._initrd.name, append),
        ]
        self._qemu = Qemu(program, [*arguments, *devices], LINES, halted=False)
        self._selector = selectors.PollSelector()  # takes a file as standard input, too
        for name, sock in self._qemu.sockets.items():
            sock.settimeout(ANSWER)
            self._selector.register(sock, selectors.EVENT_READ, name)

    def close(self) -> None:
        """End QEMU, as pulling the plug does. Closing twice does nothing."""
        self._qemu.end()
        self._selector.close()
        self._initrd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "over" if self.over else "ready" if self._ready else "booting"
        return f"LinuxGuest({state})"

    # -- what it says

    @property
    def text(self) -> str:
        """What the console printed so far; of a long text the end."""
        return self._console.text

    def news(self) -> bytes:
        """What the console printed since the last `news`, as it came: for a terminal."""
        return self._console.take()

    @property
    def over(self) -> bool:
        """Whether it has ended, and all that it said was read."""
        return not self._qemu.end.alive or not self._selector.get_map()

    def listen(self, seconds: float = 0.0, beside: int | None = None) -> bool:
        """Read what comes within `seconds`, at least once. For those who wait in their own way.

        True if the descriptor `beside`, such as standard input, has something to read.
        """
        if self.over:
            return False
        if beside is not None:
            self._selector.register(beside, selectors.EVENT_READ)
        try:
            ready = [key for key, _ in self._selector.select(seconds)]
        finally:
            if beside is not None:
                self._selector.unregister(beside)
        for key in ready:
            if key.data is not None:
                self._receive(key)
        return any(key.data is None for key in ready)

    def expect(self, text: str, seconds: float = ANSWER) -> None:
        """Wait until the console prints `text`, after what was expected before."""
        self._until(lambda: self._console.find(text.encode()), seconds, f"{text!r} was printed")

    def boot(self, seconds: float = BOOT) -> None:
        """Wait until its drivers are loaded. `run` and `wait` do so by themselves."""
        if not self._ours:
            raise ValueError("this image is not ours: it has a console and nothing else")
        if not self._ready:
            self._report("ready", seconds, "it was ready")
            self._ready = True

    # -- what it is told

    def press(self, keys: str | bytes) -> None:
        """Press keys at the console. Enter is a newline."""
        self._send("console", keys.encode() if isinstance(keys, str) else keys)

    def run(self, command: str, seconds: float = ANSWER) -> Ran:
        """Let a shell of its own run `command`; what it printed is not on the console."""
        if self._scripted:
            raise ValueError("a guest with a script takes no commands: leave out the script")
        line = base64.b64encode(command.encode()) + b"\n"
        if len(line) > LONGEST:
            raise ValueError(f"the command has {len(command)} characters: make it a script")
        self.boot()
        self._send("report", line)
        report = self._report("status ", seconds, f"{_short(command)} was done")
        return Ran(_status(report), report.text)

    def wait(self, seconds: float = ANSWER) -> int:
        """Wait for the end of the script and of the guest; give the script's exit status."""
        if not self._scripted:
            raise ValueError("there is no script to wait for: run() runs a command")
        self.boot()
        status = _status(self._report("status ", seconds, "its script was done"))
        self._until(lambda: self.over, ANSWER, "it had powered off")
        return status

    def power_off(self, seconds: float = ANSWER) -> None:
        """Let it write what is to be written, unmount, and end."""
        if not self._scripted:
            self.boot()
            self._send("report", base64.b64encode(POWER_OFF.encode()) + b"\n")
        self._until(lambda: self.over, seconds, "it had powered off")

    # -- inside

    def _receive(self, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(key.fileobj)
        elif key.data == "console":
            self._console.add(data)
        else:
            self._reports.add(data)

    def _send(self, name: str, data: bytes) -> None:
        try:
            self._qemu.sockets[name].sendall(data)
        except TimeoutError:
            self._fail(TimeoutError, f"Linux does not take what is sent to its {name}")
        except OSError:
            self._fail(ConnectionError, f"Linux ended: nobody is at its {name}")

    def _report(self, line: str, seconds: float, what: str) -> Report:
        """The next message. Our `init` sends one that begins with `line`."""
        taken: list[Report] = []

        def came() -> bool:
            taken.extend(filter(None, [self._reports.take()]))
            return bool(taken)

        self._until(came, seconds, what)
        if not taken[0].line.startswith(line):
            self._fail(ConnectionError, f"Linux said {taken[0].line[:80]!r} before {what}")
        return taken[0]

    def _until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Listen until `done`. `what` says what that is, in the past."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if self.over:
                self._fail(ConnectionError, f"Linux ended before {what}")
            if left <= 0:
                self._fail(TimeoutError, f"{seconds:g} s went by before {what}")
            self.listen(min(left, TURN))

    def _fail(self, kind: type[OSError], why: str) -> NoReturn:
        """End the guest, and say what it, and QEMU, said last."""
        tell = kind is ConnectionError and self._qemu.end.alive
        ended = f" ({self._qemu.last_words()})" if tell else ""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        lines = [line for line in lines if PANIC in line] or lines[-LAST_LINES:]
        self.close()
        said = f"; on the console: {' | '.join(lines)}" if lines else ""
        raise kind(f"{why}{ended}{said}")


def _short(command: str) -> str:
    return repr(command if len(command) < 60 else f"{command[:57]}...")


def _status(report: Report) -> int:
    """The exit status that a message says; 255 where it is no number."""
    word = report.line.removeprefix("status ")
    return int(word) if word.isascii() and word.isdigit() and len(word) < 4 else 255
