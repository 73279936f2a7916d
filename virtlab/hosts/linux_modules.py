"""The drivers of a Linux that are modules: which files, and in which order they are loaded.

    virtio_blk.ko    depends=virtio,virtio_ring      a module says itself what it needs,
    virtio.ko        depends=virtio_ring             in its section .modinfo:
    virtio_ring.ko   depends=                        text that ends in zero bytes

    order(["virtio_blk"])  ->  virtio_ring, virtio, virtio_blk

The idea: `modules.dep` says the same, but `depmod` makes that file when a kernel is installed. What
the modules say is there in a package that was only unpacked, too.

The rule that keeps it simple: a module comes after all that it depends on. What is built into the
kernel is left out. Names have `_` where a file's name may have `-`.

Source: Linux, scripts/mod/modpost.c (`depends=`), Documentation/kbuild/kbuild.rst
(modules.builtin). Left out: soft dependencies, aliases, parameters.
"""

from __future__ import annotations

import functools
import gzip
import lzma
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from virtlab.errors import FileError

DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
BUILT_IN = "modules.builtin"


class Modules:
    """The modules of one kernel, in `folder`: `/lib/modules/VERSION`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._content = functools.cache(_content)

    @functools.cached_property
    def files(self) -> dict[str, Path]:
        """Where each module is, by its name."""
        found = sorted((self.folder / "kernel").rglob("*.ko*"))
        return {_name(path): path for path in found}

    @functools.cached_property
    def built_in(self) -> frozenset[str]:
        """The names of what is no module here, because it is in the kernel itself."""
        path = self.folder / BUILT_IN
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return frozenset(_name(Path(line)) for line in lines)

    def content(self, name: str) -> bytes:
        """The module `name`, uncompressed.

        `FileNotFoundError` if this kernel has no such module, `FileError` if it cannot be read.
        """
        if name not in self.files:
            raise FileNotFoundError(f"{self.folder}: there is no module {name}")
        return self._content(self.files[name])

    def depends(self, name: str) -> list[str]:
        """The names of the modules that `name` needs."""
        said = DEPENDS.search(self.content(name))
        if said is None:
            raise FileError(self.files[name], 0, "no kernel module: it has no depends=")
        return [_plain(word) for word in said[1].decode("ascii", "replace").split(",") if word]

    def order(self, names: Iterable[str]) -> list[str]:
        """`names` and all that they need, each after what it depends on.

        `FileNotFoundError` names a module that is neither here nor in the kernel.
        """
        ordered: dict[str, None] = {}
        for name in names:
            self._visit(_plain(name), (), ordered)
        return list(ordered)

    def _visit(self, name: str, above: tuple[str, ...], ordered: dict[str, None]) -> None:
        if name in above:
            raise FileError(self.files[name], 0, f"needs itself, by way of {above[-1]}")
        if name in ordered or (name in self.built_in and name not in self.files):
            return
        for needed in self.depends(name):
            self._visit(needed, (*above, name), ordered)
        ordered[name] = None


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _name(path: Path) -> str:
    """`virtio_rng` for `.../virtio-rng.ko.xz`."""
    return _plain(path.name.partition(".ko")[0])


def _content(path: Path) -> bytes:
    """What is in a module's file, uncompressed as its suffix says."""
    data = path.read_bytes()
    try:
        match path.suffix:
            case ".xz":
                return lzma.decompress(data)
            case ".gz":
                return gzip.decompress(data)
            case ".zst":
                return _unzstd(path, data)
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, subprocess.CalledProcessError):
        raise FileError(path, 0, f"cannot be uncompressed as {path.suffix} says") from None
    return data


def _unzstd(path: Path, data: bytes) -> bytes:
    """What the program `zstd` makes of it. Python has no Zstandard before 3.14."""
    program = shutil.which("zstd")
    if program is None:
        raise FileNotFoundError(f"{path.name} is compressed: sudo apt install zstd")
    return subprocess.run([program, "-dcq"], input=data, capture_output=True, check=True).stdout
