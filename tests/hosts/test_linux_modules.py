"""Which modules a Linux needs, and in which order: read from the modules themselves."""

from __future__ import annotations

import gzip
import lzma
import shutil

import pytest

from virtlab.errors import FileError
from virtlab.hosts.linux_modules import Modules


def module(depends):
    """What the section .modinfo looks like, between bytes that are not of it."""
    return b"\x7fELF\0\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0" + bytes(8)


@pytest.fixture
def folder(tmp_path):
    """A kernel's modules, with the dependencies that those of virtio have."""
    for path, depends in {
        "drivers/virtio/virtio_ring.ko": "",
        "drivers/virtio/virtio.ko": "virtio_ring",
        "drivers/block/virtio_blk.ko": "virtio,virtio_ring",
        "drivers/char/hw_random/virtio-rng.ko": "virtio,virtio_ring",
    }.items():
        add(tmp_path, path, module(depends))
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/lib/crc-ccitt.ko\n")
    return tmp_path


def add(folder, path, data):
    file = folder / "kernel" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def test_a_module_comes_after_what_it_depends_on(folder):
    modules = Modules(folder)
    assert modules.order(["virtio_blk"]) == ["virtio_ring", "virtio", "virtio_blk"]


def test_each_module_comes_once_and_in_the_order_that_is_asked_for(folder):
    order = Modules(folder).order(["virtio_rng", "virtio_blk", "virtio_ring"])
    assert order == ["virtio_ring", "virtio", "virtio_rng", "virtio_blk"]


def test_a_dash_in_a_name_is_an_underscore(folder):
    modules = Modules(folder)
    assert modules.order(["virtio-rng"])[-1] == "virtio_rng"
    assert modules.depends("virtio_rng") == ["virtio", "virtio_ring"]
    assert modules.built_in == {"ext4", "crc_ccitt"}


def test_what_is_in_the_kernel_is_left_out(folder):
    add(folder, "fs/x.ko", module("ext4,crc-ccitt"))
    assert Modules(folder).order(["ext4", "x"]) == ["x"]


def test_a_module_that_is_nowhere_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"there is no module no_such$"):
        Modules(folder).order(["virtio", "no-such"])
    (folder / "modules.builtin").unlink()
    with pytest.raises(FileNotFoundError, match="there is no module ext4"):
        Modules(folder).order(["ext4"])


def test_a_circle_of_dependencies_ends(folder):
    add(folder, "a.ko", module("b"))
    add(folder, "b.ko", module("a"))
    with pytest.raises(FileError, match=r"a\.ko: byte 0: needs itself, by way of b"):
        Modules(folder).order(["a"])


def test_what_is_no_module_is_named(folder):
    add(folder, "a.ko", b"no module")
    with pytest.raises(FileError, match=r"a\.ko: byte 0: no kernel module"):
        Modules(folder).order(["a"])


PACKED = {"xz": lzma.compress, "gz": gzip.compress}


@pytest.mark.parametrize("suffix", PACKED)
def test_a_module_may_be_compressed(folder, suffix):
    data = module("virtio")
    add(folder, f"net/a-b.ko.{suffix}", PACKED[suffix](data))
    modules = Modules(folder)
    assert modules.order(["a_b"]) == ["virtio_ring", "virtio", "a_b"]
    assert modules.content("a_b") == data


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("cut", [slice(4), slice(40, None)])
def test_a_compressed_module_that_is_damaged_is_named(folder, suffix, cut):
    add(folder, f"a.ko.{suffix}", PACKED[suffix](module("virtio"))[cut])
    with pytest.raises(FileError, match=rf"a\.ko\.{suffix}: byte 0: cannot be uncompressed as "):
        Modules(folder).content("a")


def zstd(folder, monkeypatch, body):
    """A stand-in for the program `zstd`."""
    path = folder / "zstd"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_zstd_does_what_python_cannot(folder, monkeypatch):
    add(folder, "a.ko.zst", module("virtio"))
    zstd(folder, monkeypatch, '[ "$*" = -dcq ] && exec cat')
    assert Modules(folder).content("a") == module("virtio")
    zstd(folder, monkeypatch, "exit 1")
    with pytest.raises(FileError, match=r"cannot be uncompressed as \.zst says"):
        Modules(folder).content("a")


def test_where_zstd_is_missing_it_is_named(folder, monkeypatch):
    add(folder, "a.ko.zst", b"")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="sudo apt install zstd"):
        Modules(folder).content("a")
