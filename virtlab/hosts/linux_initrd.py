"""The first file system of a guest Linux: busybox, drivers, a few programs.

    init                   the first process: loads the drivers, then does what it is there for
    bin/busybox            the shell and every usual command
    usr/sbin/mke2fs ...    programs of this machine, with the libraries that they load
    virtlab/order          the modules' names, in the order in which they are loaded
    virtlab/modules/       their files
    virtlab/programs       their names for the shell, which has commands of its own
    virtlab/script         what this boot is to run; in an archive of its own, put behind

`init` speaks on two serial ports. `ttyS0` is the console, for people. `ttyS1` is for us: each
message ends in the byte 0x1e and a line, so that no kernel message ever stands in the middle.

    ready               the drivers are loaded
    status N            the script has ended; the machine now powers off
    TEXT 0x1e status N  what a command printed, and how it ended; commands come in base64

The rule that keeps it simple: `init` is the only program of ours in there, and it is below.

Source: Linux, Documentation/admin-guide/initrd.rst, filesystems/ramfs-rootfs-initramfs.rst.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from virtlab.hosts.linux_cpio import Entry, archive, file, link
from virtlab.hosts.linux_find import Linux, find_linux, find_program, libraries

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "ext4")
"""What is loaded in every boot, after what it depends on."""

PROGRAMS = ("mke2fs", "e2fsck")
"""Programs of this machine that go in: busybox makes no ext4."""

ALIASES = {"mke2fs": ("mkfs.ext2", "mkfs.ext4"), "e2fsck": ("fsck.ext2", "fsck.ext4")}
"""More names of a program."""

SCRIPT = "virtlab/script"
END = "\x1e"
"""The byte, a record separator, after which a message's last line stands."""

INIT = r"""#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/bin HOME=/ TERM=linux PS1='linux# '
/bin/busybox mkdir -p /dev /proc /sys /tmp /mnt
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
hostname linux
ifconfig lo up
export ENV=/virtlab/programs

while read -r module; do
    insmod "/virtlab/modules/$module.ko" || echo "virtlab: the module $module was not loaded"
done < /virtlab/order

exec 3<>/dev/ttyS1
stty raw -echo <&3
report() { printf '\036%s\n' "$*" >&3; }

commands() {
    while read -r line <&3; do
        sh -c '. $ENV; eval "$1"' sh "$(echo "$line" | base64 -d)" >&3 2>&1 3<&- </dev/null
        report status $?
    done
}

report ready
if [ -e /virtlab/script ]; then
    sh -c '. $ENV; . /virtlab/script' 3<&-
    report status $?
else
    commands &
    setsid cttyhack sh 3<&-
fi
sync
umount -a -r 2>/dev/null
poweroff -f
"""
"""The first process. Standard input and output are the console."""


class Image(NamedTuple):
    """What a boot starts from. With an `initrd` of another make it has no `init` of ours."""

    kernel: Path
    initrd: bytes
    ours: bool = True


def linux_image(
    linux: Linux | None = None, modules: Sequence[str] = (), programs: Sequence[str] = ()
) -> Image:
    """The image of `linux`, with `modules` and `programs` in it beside the usual ones.

    Without `linux`, of the one that `find_linux` finds. One image serves any number of guests.

    `FileNotFoundError` says what this machine lacks, and which package brings it.
    """
    linux = linux or find_linux()
    order = linux.modules.order([*MODULES, *modules])
    chosen = list(dict.fromkeys([*PROGRAMS, *programs]))
    entries = [
        file("init", INIT, program=True),
        file("virtlab/order", "".join(f"{name}\n" for name in order)),
        file("virtlab/programs", "".join(map(_function, chosen))),
        *(file(f"virtlab/modules/{name}.ko", linux.modules.content(name)) for name in order),
        *_programs(linux, ["busybox", *chosen]),
    ]
    return Image(linux.kernel, archive({entry.path: entry for entry in entries}.values()))


def script(text: str) -> bytes:
    """The archive that is put behind it: the shell script that this boot runs."""
    return archive([file(SCRIPT, text)])


def _function(name: str) -> str:
    """A line by which the shell takes the program `name`, and not a command of its own."""
    return f'{name}() {{ /usr/sbin/{name} "$@"; }}\n' if name.isidentifier() else ""


def _programs(linux: Linux, names: Iterable[str]) -> Iterator[Entry]:
    """Programs, their other names, and what they load, at the place where it looks for it."""
    for name in names:
        path = find_program(name, linux.root)
        where = "bin" if name == "busybox" else "usr/sbin"
        yield file(f"{where}/{name}", path.read_bytes(), program=True)
        yield from (link(f"{where}/{alias}", name) for alias in ALIASES.get(name, ()))
        for library in libraries(path):
            yield file(str(library).lstrip("/"), library.read_bytes(), program=True)
