"""A Linux on this machine: its kernel, its modules, and the programs that go with it.

    ROOT/boot/vmlinuz-6.1.0-56-cloud-amd64       the kernel; its header says its version
    ROOT/lib/modules/6.1.0-56-cloud-amd64/       its modules
    busybox, mke2fs, e2fsck                      programs, with the libraries that they load

The idea: ROOT is `/`, or a folder in which the packages were only unpacked, `dpkg -x FILE ROOT`.
Nothing has to be installed, and nobody has to be root. `VIRTLAB_LINUX` names such a folder.

The rule that keeps it simple: what is missing is one `FileNotFoundError`, with the package that
brings it. Of several kernels a cloud kernel is taken, as the smallest, and of those the newest.

Source: Linux, Documentation/arch/x86/boot.rst (`HdrS`, `kernel_version`). Left out: kernels for
other processors.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from virtlab.errors import FileError
from virtlab.hosts.linux_modules import Modules

ROOT = "VIRTLAB_LINUX"
"""The environment's variable that names a folder to look in first."""

KERNELS = ("boot/vmlinuz-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz")
MODULES = ("lib/modules", "usr/lib/modules")
PROGRAMS = ("bin", "usr/bin", "sbin", "usr/sbin")
"""Where things are below a root."""

PACKAGES = {
    "linux": "linux-image-cloud-amd64",
    "busybox": "busybox-static",
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
}
"""The Debian package that brings each."""

SIGNATURE, SIGNATURE_AT = b"HdrS", 0x202
VERSION_AT, VERSION_FROM, VERSION_MOST = 0x20E, 0x200, 256
"""A kernel's header: a 16-bit offset, counted from 0x200, to text that ends in a zero byte."""


class Linux(NamedTuple):
    """A kernel and its modules, and the `root` in which programs are looked for first."""

    kernel: Path
    modules: Modules
    root: Path


def find_linux(root: str | os.PathLike[str] | None = None, kernel: Path | None = None) -> Linux:
    """The Linux in `root`; without it, in the folder that `VIRTLAB_LINUX` names, or installed.

    With `kernel`, that one: then only its modules are looked for.

    `FileNotFoundError` says what is missing and which package brings it.
    """
    places = roots(root)
    if kernel is not None:
        places.insert(0, kernel.absolute().parent.parent)
    for place in places:
        candidates = [kernel] if kernel is not None else kernels(place)
        for candidate in candidates:
            if (modules := modules_of(candidate, place)) is not None:
                return Linux(candidate, modules, place)
    where = ", ".join(str(place) for place in dict.fromkeys(places))
    if kernel is not None:
        raise FileNotFoundError(f"{kernel}: no modules of {version_of(kernel)} in {where}")
    raise FileNotFoundError(f"no Linux kernel with its modules in {where}: {getting('linux')}")


def roots(root: str | os.PathLike[str] | None = None) -> list[Path]:
    """The folders to look in: `root` alone, or what the environment names and then `/`."""
    if root is not None:
        return [Path(root)]
    named = os.environ.get(ROOT)
    return [Path(named), Path("/")] if named else [Path("/")]


def getting(name: str) -> str:
    """How to get what is missing."""
    package = PACKAGES.get(name)
    return f"sudo apt install {package}" if package else "install the package that brings it"


def kernels(root: Path) -> list[Path]:
    """The kernels below `root`, the best one first."""
    found = {path for pattern in KERNELS for path in root.glob(pattern)}
    return sorted(found, key=lambda kernel: _worth(str(kernel.relative_to(root))), reverse=True)


def _worth(path: str) -> tuple[bool, list[int], str]:
    return "cloud" in path, [int(number) for number in re.findall(r"\d+", path)], path


def version_of(kernel: Path) -> str:
    """The version that a kernel's header says, as in `6.1.0-56-cloud-amd64`.

    `FileError` if the file is no kernel for x86. Ubuntu lets only root read one: that is
    `PermissionError`, with what to do about it.
    """
    try:
        with kernel.open("rb") as image:
            header = image.read(VERSION_FROM + (1 << 16) + VERSION_MOST)
    except PermissionError:
        why = f"{kernel}: only root may read it: sudo chmod a+r {kernel}"
        raise PermissionError(why) from None
    if header[SIGNATURE_AT : SIGNATURE_AT + len(SIGNATURE)] != SIGNATURE:
        raise FileError(kernel, SIGNATURE_AT, "no Linux kernel for x86: there is no HdrS")
    (offset,) = struct.unpack_from("<H", header, VERSION_AT)
    text = header[VERSION_FROM + offset :][:VERSION_MOST].partition(b"\0")[0]
    words = text.decode("ascii", "replace").split()
    if not offset or not words:
        raise FileError(kernel, VERSION_AT, "this kernel does not say its version")
    return words[0]


def modules_of(kernel: Path, root: Path) -> Modules | None:
    """The modules of `kernel` below `root`, or None."""
    version = version_of(kernel)
    for place in MODULES:
        folder = root / place / version
        if "/" not in version and (folder / "kernel").is_dir():
            return Modules(folder)
    return None


def find_program(name: str, root: Path = Path("/")) -> Path:
    """Where `name` is: below `root`, or on this machine, also where only root's shell looks.

    `FileNotFoundError` says which package brings it.
    """
    path = os.pathsep.join(str(root / place) for place in PROGRAMS)
    system = os.pathsep.join(f"/{place}" for place in PROGRAMS)
    for places in (path, os.environ.get("PATH", ""), system):
        if found := shutil.which(name, path=places):
            return Path(found)
    raise FileNotFoundError(f"{name} is not installed: {getting(name)}")


def libraries(program: Path) -> list[Path]:
    """The shared libraries that `program` loads, its loader among them; none if it is static.

    `FileNotFoundError` names a library that this machine lacks.
    """
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if lost := re.search(r"(\S+) => not found", done.stdout):
        raise FileNotFoundError(f"{program} needs {lost[1]}, which is not installed")
    return [Path(path) for path in re.findall(r"(?:^|=>)\s+(/\S+) \(0x", done.stdout, re.M)]
