"""python scripts/linux.py [FOLDER]: unpack a Linux for virtlab into FOLDER (build/linux).

    FOLDER/boot/vmlinuz-...     a kernel that everybody may read
    FOLDER/lib/modules/...      its modules
    FOLDER/bin/busybox          the guest's shell

The idea: the packages of Debian or Ubuntu are downloaded and unpacked, and nothing is installed. So
nobody has to be root, and this machine's own kernel stays as it is. `VIRTLAB_LINUX=FOLDER` is all
that is left to do.

The rule that keeps it simple: a folder that has a kernel is left alone, and one that could not be
filled is not there. apt's own lists are tried first. Where there are none, as in a container, they
are fetched into a folder of ours.

Exit status: 0 there is a kernel in FOLDER; 1 there is none, with one line that says why.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

KERNELS = ("linux-image-cloud-amd64", "linux-image-virtual")
"""What brings the newest small kernel: on Debian, on Ubuntu."""


class Unreachable(Exception):
    """The packages cannot be had."""


class Apt:
    """apt's programs, with their usual lists, or with lists in `folder`."""

    def __init__(self, folder: Path | None = None) -> None:
        self.options: list[str] = []
        if folder is not None:
            for name in ("lists/partial", "cache/archives/partial"):
                (folder / name).mkdir(parents=True)
            self.options = [
                f"-oDir::State::Lists={folder / 'lists'}",
                f"-oDir::Cache={folder / 'cache'}",
            ]
            self.run("apt-get", "-qq", "update")

    def run(self, program: str, *words: str, cwd: Path | None = None) -> str:
        """What the program prints. `Unreachable`, with its last line, if it fails."""
        try:
            done = subprocess.run(
                [program, *self.options, *words],
                cwd=cwd,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise Unreachable(f"{program} is not on this machine") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Unreachable(said[-1] if said else f"{program} failed")
        return done.stdout

    def needs(self, package: str, pattern: str) -> list[str]:
        """The packages that `package` depends on whose names match `pattern`."""
        said = self.run("apt-cache", "depends", "--important", package)
        found = re.findall(r"Depends: (\S+)", said)
        return [name for name in found if re.fullmatch(pattern, name)]

    def packages(self) -> list[str]:
        """The kernel's package, that of its modules where it is another one, and the shell's."""
        for kernel in KERNELS:
            try:
                images = self.needs(kernel, r"linux-image-\d\S*")
            except Unreachable:
                continue
            if images:
                modules = self.needs(images[0], r"linux-modules-\d\S*")
                return [images[0], *modules, "busybox-static"]
        raise Unreachable(f"apt knows none of {', '.join(KERNELS)}")


def sources(folder: Path) -> Iterator[Apt]:
    """The ways to ask, one after the other."""
    yield Apt()
    yield Apt(folder)


def fetch(folder: Path) -> list[Path]:
    """Download the packages into `folder`."""
    why = Unreachable("nothing was tried")
    try:
        for apt in sources(folder / "apt"):
            try:
                apt.run("apt-get", "-qq", "download", *apt.packages(), cwd=folder)
            except Unreachable as error:
                why = error
                continue
            return sorted(folder.glob("*.deb"))
    except Unreachable as error:
        why = error
    raise why


def unpack(packages: Sequence[Path], folder: Path) -> None:
    """Put what is in `packages` into `folder`, all of it or nothing."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place, "linux")
        for package in packages:
            Apt().run("dpkg-deb", "-x", str(package), str(made))
        if folder.exists():
            folder.rmdir()
        made.rename(folder)


def kernel_in(folder: Path) -> Path | None:
    """The kernel that is there."""
    return next(iter(sorted(folder.glob("boot/vmlinuz-*"))), None)


def main(words: Sequence[str]) -> int:
    """Fill the folder that `words` name. Gives the exit status."""
    folder = Path(words[0] if words else "build/linux").absolute()
    try:
        if kernel_in(folder) is None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as place:
                unpack(fetch(Path(place)), folder)
    except (Unreachable, OSError) as error:
        print(f"scripts/linux.py: no kernel in {folder}: {error}", file=sys.stderr)
        return 1
    print(f"{kernel_in(folder)}: export VIRTLAB_LINUX={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
