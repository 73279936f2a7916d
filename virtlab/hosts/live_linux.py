"""The tier "live": an unmodified Linux in QEMU, on a disk of ours.

    QEMU: SeaBIOS, Linux, its driver <-- vhost-user --> `ServedDisk`: our VirtioBlk, in a thread

The idea: everything in this session is real, so its tape may be kept and played where nothing of it
is installed: `virtlab record` does that.

The rule that keeps it simple: a command goes to a shell of its own, beside the console's. So a
reader who types at the console does not get in the way of a work, and the console shows both.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

from virtlab.backends.disk import Disk
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import blk
from virtlab.hosts.linux_find import find_linux, version_of
from virtlab.hosts.linux_initrd import Image, linux_image
from virtlab.hosts.live_record import Recorder
from virtlab.hosts.live_served import ServedDisk, ServedSession
from virtlab.hosts.live_session import Tier
from virtlab.hosts.live_works import DISK, PROMPT, SLOTS, WORKS, Work, shown
from virtlab.hosts.qemu import find_qemu
from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import Counts, Said

BOOT, COMMAND, VERSION = 120.0, 120.0, 60.0
"""Seconds in which Linux must be there, a command be done, and QEMU say its version."""


class _Guest(LinuxGuest):
    """A Linux whose console is heard by `recorder`."""

    def __init__(self, recorder: Recorder, devices: Sequence[str], image: Image) -> None:
        self._recorder = recorder
        super().__init__(devices, image=image)

    def listen(self, seconds: float = 0.0, beside: int | None = None) -> bool:
        """See `LinuxGuest`."""
        found = super().listen(seconds, beside)
        if data := self.news():
            self._recorder.console(data)
        return found


class LiveSession(ServedSession):
    """A Linux on a disk of `size` bytes, whose ring has `slots` entries.

    `FileNotFoundError` says what is missing on this machine. `ConnectionError` and `TimeoutError`
    are those of `LinuxGuest`; then the session is over.
    """

    def __init__(
        self, tier: Tier, ring: str = "split", slots: int = SLOTS, size: int = DISK
    ) -> None:
        super().__init__(tier, Disk(size), ring)
        linux = find_linux()
        image = linux_image(linux)
        self._recorder = Recorder()
        self._about = about(version_of(linux.kernel), ring, slots, size)
        self._listening = threading.Lock()
        with contextlib.ExitStack() as made:
            self._served = ServedDisk(self.disk, self._recorder, slots)
            made.callback(self._served.close)
            options = f",queue-size={slots}" + (",packed=on" if ring == "packed" else "")
            devices = blk(self._served.path, options=options)
            self._guest = made.enter_context(_Guest(self._recorder, devices, image))
            self._owns(made)

    def power_off(self) -> None:
        """Let Linux write what is to be written, and end."""
        self._guest.power_off()

    def _do(self, name: str) -> Work:
        with self._listening:
            return self._told(name, WORKS[name])

    def _told(self, name: str, command: str) -> Work:
        """Let Linux do it, and note what it said."""
        self._recorder.fresh()
        first = not self.done
        since = Counts() if first else self._counts()
        began = 0 if first else self._recorder.now
        if first:
            self._guest.boot(BOOT)
            self._guest.expect(PROMPT, BOOT)
        ran = self._guest.run(shown(command), COMMAND)
        counts = self._counts().minus(since)
        said = Said(name, command, ran.status, ran.text, began, counts)
        self._recorder.said(said)
        return Work.of(said)

    # -- what there is to see

    @property
    def tape(self) -> Tape:
        """See `Session`."""
        self._hear()
        self._recorder.left_out["chains"] = self._served.device.unnoted
        return self._recorder.tape(self._about)

    @property
    def console(self) -> str:
        """See `Session`: it is read now, if nobody listened before."""
        self._hear()
        return self._guest.text

    def _hear(self) -> None:
        """Read what the console has printed, unless a thread that does a work reads it anyhow."""
        if self._listening.acquire(blocking=False):
            try:
                self._guest.listen()
            finally:
                self._listening.release()

    def press(self, keys: str | bytes) -> None:
        """See `Session`."""
        self._guest.press(keys)


def about(kernel: str, ring: str, slots: int, size: int) -> dict[str, Any]:
    """What a recording is of, and which programs took part. No name of a machine, and no path."""
    return {
        "what": "an unmodified Linux on virtlab's block device, behind vhost-user",
        "how": "it ran in QEMU, which emulated its processor",
        "kernel": kernel,
        "qemu": qemu_version(),
        "ring": ring,
        "slots": slots,
        "disk": size,
    }


def qemu_version() -> str:
    """What QEMU calls itself, as in "7.2.22"; empty if it does not say."""
    program = find_qemu()
    if program is None:
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=VERSION)
    words = done.stdout.split()
    return words[words.index("version") + 1] if "version" in words[:-1] else ""
