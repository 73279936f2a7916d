"""What an unmodified Linux runs on: a PC, and devices that are QEMU's own, or ours.

    disk("disk.img")           QEMU's virtio-blk, with a file of this machine as its disk
    blk("/tmp/blk.sock")       virtio-blk of whoever listens there: `virtlab serve blk`
    net("/tmp/net.sock")       virtio-net of whoever listens there: `virtlab serve net`

Each is a list of QEMU's arguments; lists are put together with `+`. The guest cannot tell them
apart: in both cases QEMU shows it a virtio device on PCI.

The rule that keeps it simple: a device has a name of its own, by which QEMU ties its two halves
together. By default that is the kind; give another to a second one.

Source: QEMU, docs/system/devices/vhost-user.rst, docs/system/linuxboot.rst.
"""

from __future__ import annotations

import os

LINES = ("console", "report")
"""The chardevs behind the two serial ports: `ttyS0`, `ttyS1`."""

PROCESSOR = "qemu64,+rdrand"
"""QEMU's plain processor, with RDRAND: without it the first random number takes Linux seconds."""


def pc(memory_mib: int, processors: int) -> list[str]:
    """A PC with PCI Express whose memory is a file, so that a vhost-user back-end can map it."""
    memory = f"memory-backend-memfd,id=memory,size={memory_mib}M,share=on"
    words = ["-machine", "q35,memory-backend=memory", "-object", memory, "-m", f"{memory_mib}M"]
    words += ["-smp", str(processors), "-cpu", PROCESSOR, "-no-reboot"]
    return words + [word for line in LINES for word in ("-serial", f"chardev:{line}")]


def starting(kernel: str | os.PathLike[str], initrd: str, append: str = "") -> list[str]:
    """Start `kernel` with the file `initrd`; a panic ends the machine at once."""
    line = f"console=ttyS0 quiet panic=-1 no_timer_check {append}".rstrip()
    return ["-kernel", os.fspath(kernel), "-initrd", initrd, "-append", line]


def disk(image: str | os.PathLike[str], name: str = "disk", options: str = "") -> list[str]:
    """QEMU's own block device on the raw `image`. `options` as in `",packed=on"`."""
    drive = f"file={_quoted(image)},format=raw,if=none,id={name}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}{options}"]


def blk(socket: str | os.PathLike[str], name: str = "blk", options: str = "") -> list[str]:
    """The block device of the vhost-user back-end that listens on `socket`.

    `options` as in `",packed=on,num-queues=2"`: without a number there is one queue, where QEMU
    would want one a processor. QEMU connects again when the back-end ends.
    """
    queues = "" if ",num-queues=" in options else ",num-queues=1"
    device = f"vhost-user-blk-pci,chardev={name}{queues}{options}"
    return ["-chardev", f"{_chardev(socket, name)},reconnect=1", "-device", device]


def net(socket: str | os.PathLike[str], name: str = "net", options: str = "") -> list[str]:
    """The network card of the vhost-user back-end that listens on `socket`.

    Without MSI-X: QEMU 7.2 ends under TCG when a vhost-user card uses it.
    """
    netdev = f"vhost-user,id={name}-end,chardev={name}"
    device = f"virtio-net-pci,netdev={name}-end,vectors=0{options}"
    return ["-chardev", _chardev(socket, name), "-netdev", netdev, "-device", device]


def _chardev(socket: str | os.PathLike[str], name: str) -> str:
    return f"socket,id={name},path={_quoted(socket)}"


def _quoted(path: str | os.PathLike[str]) -> str:
    """A path inside an argument that has commas: there a comma is written twice."""
    return os.fspath(path).replace(",", ",,")
