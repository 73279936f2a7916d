"""A kernel, its modules and the programs beside it: found, or named with the package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from virtlab.errors import FileError
from virtlab.hosts import linux_find
from virtlab.hosts.linux_find import (
    ROOT,
    find_linux,
    find_program,
    kernels,
    libraries,
    roots,
    version_of,
)


def kernel(version):
    """The start of a kernel for x86 (boot.rst): HdrS at 0x202, at 0x20E where the version is."""
    image = bytearray(0x400)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x100).to_bytes(2, "little")
    text = f"{version} (someone@somewhere) #1 SMP\0".encode()
    image[0x300 : 0x300 + len(text)] = text
    return bytes(image)


def install(root, version, modules="lib/modules", path=None):
    """Put a kernel and its modules below `root`."""
    image = root / (path or f"boot/vmlinuz-{version}")
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(kernel(version))
    if modules:
        (root / modules / version / "kernel").mkdir(parents=True)
    return image


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch):
    monkeypatch.delenv(ROOT, raising=False)


def test_the_header_says_the_version(tmp_path):
    assert version_of(install(tmp_path, "6.1.0-56-cloud-amd64")) == "6.1.0-56-cloud-amd64"


@pytest.mark.parametrize(
    ("damage", "byte", "why"),
    [
        (slice(0x202, 0x206), 514, "there is no HdrS"),
        (slice(0x20E, 0x210), 526, "does not say its version"),
        (slice(0x300, 0x400), 526, "does not say its version"),
        (slice(0x100, 0x400), 514, "there is no HdrS"),
    ],
)
def test_what_is_no_kernel_is_named_with_the_byte(tmp_path, damage, byte, why):
    image = bytearray(kernel("6.1"))
    image[damage] = bytes(damage.stop - damage.start)
    path = tmp_path / "vmlinuz"
    path.write_bytes(image)
    with pytest.raises(FileError, match=f"byte {byte}: .*{why}"):
        version_of(path)


def test_a_short_file_is_no_kernel(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(b"")
    with pytest.raises(FileError, match="byte 514"):
        version_of(path)


def test_a_kernel_that_only_root_may_read_is_named_with_what_to_do(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    image = install(tmp_path, "6.1")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError) as caught:
        find_linux(tmp_path)
    assert str(caught.value) == f"{image}: only root may read it: sudo chmod a+r {image}"


def test_a_kernel_is_found_with_its_modules(tmp_path):
    image = install(tmp_path, "6.1.0-56-cloud-amd64")
    linux = find_linux(tmp_path)
    assert linux.kernel == image
    assert linux.modules.folder == tmp_path / "lib/modules/6.1.0-56-cloud-amd64"
    assert linux.root == tmp_path


def test_a_cloud_kernel_comes_first_and_the_newest_of_those(tmp_path):
    for version in ("6.1.0-9-cloud-amd64", "6.1.0-10-cloud-amd64", "7.0.0-1-amd64"):
        install(tmp_path, version)
    names = [path.name for path in kernels(tmp_path)]
    assert names == [
        "vmlinuz-6.1.0-10-cloud-amd64",
        "vmlinuz-6.1.0-9-cloud-amd64",
        "vmlinuz-7.0.0-1-amd64",
    ]


def test_a_kernel_without_its_modules_is_passed_over(tmp_path):
    install(tmp_path, "6.2", modules=None)
    assert find_linux_or_why(tmp_path).startswith(f"no Linux kernel with its modules in {tmp_path}")
    image = install(tmp_path, "6.1")
    assert find_linux(tmp_path).kernel == image


@pytest.mark.parametrize("usr", ["", "usr/"])
def test_a_kernel_may_lie_beside_its_modules(tmp_path, usr):
    folder = f"{usr}lib/modules"
    image = install(tmp_path, "6.15-1.fc42", folder, f"{folder}/6.15-1.fc42/vmlinuz")
    linux = find_linux(tmp_path)
    assert (linux.kernel, linux.modules.folder) == (image, image.parent)


def test_a_kernel_that_is_named_finds_its_modules_beside_it(tmp_path, monkeypatch):
    image = install(tmp_path / "unpacked", "6.1")
    install(tmp_path / "other", "6.1")
    monkeypatch.setenv(ROOT, str(tmp_path / "other"))
    assert find_linux(kernel=image).modules.folder == tmp_path / "unpacked/lib/modules/6.1"
    monkeypatch.chdir(image.parent)
    assert find_linux(kernel=Path(image.name)).root == tmp_path / "unpacked"


def test_a_kernel_that_is_named_finds_its_modules_in_the_root_that_is_named(tmp_path):
    install(tmp_path / "root", "6.1")
    image = install(tmp_path / "mine/too", "6.1", modules=None)
    assert find_linux(tmp_path / "root", image).modules.folder == tmp_path / "root/lib/modules/6.1"
    with pytest.raises(FileNotFoundError, match=rf"{image}: no modules of 6\.1 in "):
        find_linux(tmp_path, image)


def find_linux_or_why(root=None):
    with pytest.raises(FileNotFoundError) as caught:
        find_linux(root)
    return str(caught.value)


def test_what_is_missing_is_named_with_its_package(tmp_path, monkeypatch):
    why = find_linux_or_why(tmp_path)
    assert why.endswith(f"{tmp_path}: sudo apt install linux-image-cloud-amd64")
    monkeypatch.setattr(linux_find, "kernels", lambda root: [])
    assert "in /: " in find_linux_or_why()
    monkeypatch.setenv(ROOT, "/nowhere")
    assert "in /nowhere, /: " in find_linux_or_why()


def test_the_environment_names_a_folder_that_comes_before_the_machine(tmp_path, monkeypatch):
    assert roots() == [Path("/")]
    monkeypatch.setenv(ROOT, str(tmp_path))
    assert roots() == [tmp_path, Path("/")]
    assert roots("/else") == [Path("/else")]
    image = install(tmp_path, "6.1")
    assert find_linux().kernel == image


def program(path, body="exit 0"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_program_is_looked_for_below_the_root_first(tmp_path, monkeypatch):
    mine = program(tmp_path / "here/mke2fs")
    monkeypatch.setenv("PATH", str(mine.parent))
    assert find_program("mke2fs", tmp_path / "root") == mine
    unpacked = program(tmp_path / "root/usr/sbin/mke2fs")
    assert find_program("mke2fs", tmp_path / "root") == unpacked


def test_a_program_is_found_where_only_the_shell_of_root_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("e2fsck", tmp_path).parent.name == "sbin"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("busybox", "sudo apt install busybox-static"),
        ("mke2fs", "sudo apt install e2fsprogs"),
        ("e2fsck", "sudo apt install e2fsprogs"),
        ("no-such", "install the package that brings it"),
    ],
)
def test_a_missing_program_is_named_with_its_package(name, advice, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(FileNotFoundError, match=f"^{name} is not installed: {advice}$"):
        find_program(name)


def ldd(tmp_path, monkeypatch, said):
    path = program(tmp_path / "ldd", f"cat <<'END'\n{said}\nEND")
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


def test_the_libraries_of_a_program_and_its_loader(tmp_path, monkeypatch):
    said = """\tlinux-vdso.so.1 (0x00007f65fe476000)
\tlibext2fs.so.2 => /lib/x86_64-linux-gnu/libext2fs.so.2 (0x00007f65fe3d2000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f65fe17c000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f65fe478000)"""
    ldd(tmp_path, monkeypatch, said)
    assert [str(path) for path in libraries(Path("/sbin/mke2fs"))] == [
        "/lib/x86_64-linux-gnu/libext2fs.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ]


def test_a_static_program_has_no_libraries(tmp_path, monkeypatch):
    ldd(tmp_path, monkeypatch, "\tnot a dynamic executable")
    assert libraries(Path("/bin/busybox")) == []


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    ldd(tmp_path, monkeypatch, "\tlibodd.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)")
    with pytest.raises(FileNotFoundError, match=r"^/bin/odd needs libodd\.so\.1, which is not ins"):
        libraries(Path("/bin/odd"))


def test_the_libraries_of_a_program_of_this_machine_are_there():
    found = libraries(find_program("e2fsck"))
    assert found
    assert all(path.is_file() for path in found)
