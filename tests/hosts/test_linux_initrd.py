"""What goes into the first file system: the same every time, and all that it names is there."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.hosts.test_linux_cpio import entries_of
from tests.hosts.test_linux_find import install, program
from tests.hosts.test_linux_modules import module
from virtlab.hosts import linux_initrd
from virtlab.hosts.linux_find import find_linux
from virtlab.hosts.linux_initrd import END, INIT, MODULES, SCRIPT, linux_image, script


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with all that a Linux needs, every program with one library."""
    install(tmp_path, "6.1")
    folder = tmp_path / "lib/modules/6.1/kernel"
    for name in ("virtio_ring", *MODULES, "e1000"):
        needs = "virtio_ring" if name.startswith("virtio_") and name != "virtio_ring" else ""
        (folder / f"{name}.ko").write_bytes(module(needs))
    for name in ("busybox", "mke2fs", "e2fsck", "fio-x"):
        program(tmp_path / f"usr/bin/{name}", f"echo {name}")
    library = tmp_path / "libc.so.6"
    library.write_bytes(b"a library")
    monkeypatch.setattr(linux_initrd, "libraries", lambda path: [library])
    return tmp_path


def files_of(image):
    return {path: content for path, (_, content) in entries_of(image.initrd)[0].items()}


def test_the_modules_are_in_it_and_the_order_in_which_they_are_loaded(root):
    image = linux_image(find_linux(root))
    files = files_of(image)
    order = files["virtlab/order"].decode().split()
    assert order == ["virtio_ring", *MODULES]
    for name in order:
        assert files[f"virtlab/modules/{name}.ko"].startswith(b"\x7fELF")
    assert image.kernel == root / "boot/vmlinuz-6.1"
    assert image.ours


def test_the_programs_are_in_it_with_their_libraries_and_other_names(root):
    files = files_of(linux_image(find_linux(root)))
    assert files["bin/busybox"].endswith(b"echo busybox\n")
    assert files["usr/sbin/mke2fs"].endswith(b"echo mke2fs\n")
    assert files["usr/sbin/mkfs.ext4"] == b"mke2fs"
    assert files["usr/sbin/fsck.ext4"] == b"e2fsck"
    assert files[str(root / "libc.so.6").lstrip("/")] == b"a library"


def test_more_modules_and_programs_go_in_once(root):
    image = linux_image(find_linux(root), ["e1000", "virtio_net"], ["fio-x", "mke2fs"])
    files = files_of(image)
    assert files["virtlab/order"].decode().split()[-1] == "e1000"
    assert "usr/sbin/fio-x" in files
    functions = files["virtlab/programs"].decode()
    assert re.findall(r"^(\S+)\(\)", functions, re.M) == ["mke2fs", "e2fsck"]


def test_it_is_the_same_every_time(root):
    first = linux_image(find_linux(root))
    (root / "usr/bin/busybox").touch()
    assert linux_image(find_linux(root)) == first


def test_without_being_told_it_takes_what_there_is(root, monkeypatch):
    monkeypatch.setenv("VIRTLAB_LINUX", str(root))
    assert linux_image().kernel == root / "boot/vmlinuz-6.1"


def test_what_is_missing_is_named(root, monkeypatch):
    with pytest.raises(FileNotFoundError, match="there is no module no_such"):
        linux_image(find_linux(root), ["no-such"])
    (root / "usr/bin/busybox").unlink()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("virtlab.hosts.linux_find.PROGRAMS", ("usr/none",))
    with pytest.raises(FileNotFoundError, match="busybox is not installed: sudo apt install busy"):
        linux_image(find_linux(root))


def test_a_script_is_an_archive_of_its_own():
    found, _ = entries_of(script("echo ä\n"))
    assert found[SCRIPT][1] == "echo ä\n".encode()
    assert SCRIPT in INIT


def test_init_is_a_shell_script_without_a_mistake_in_it():
    done = subprocess.run(["sh", "-n"], input=INIT, text=True, capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\\{ord(END):03o}%s\\n" in INIT


def test_the_line_for_the_shell_runs_the_program(tmp_path):
    line = linux_initrd._function("mke2fs").replace("/usr/sbin", str(tmp_path))
    program(tmp_path / "mke2fs", 'echo "$#:$2"')
    done = subprocess.run(
        ["sh", "-c", f"{line} mke2fs -q 'a b'"], capture_output=True, text=True, timeout=20
    )
    assert done.stdout == "2:a b\n"
