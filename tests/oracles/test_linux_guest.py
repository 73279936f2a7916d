"""An unmodified Linux boots on QEMU's own devices, and says what it does."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.needs import needs_linux
from tests.oracles.linux_guest import BOOT, WORK, clean, empty_image, linux
from virtlab.hosts.linux import LinuxGuest
from virtlab.hosts.linux_devices import disk
from virtlab.hosts.linux_find import find_linux, find_program, version_of

SHORT = WORK.format(files=2, blocks=8)


@needs_linux
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_script_runs_and_a_file_system_is_made_filled_and_read_again(tmp_path):
    image = empty_image(tmp_path / "disk.img", 64)
    begin = time.monotonic()
    with LinuxGuest(disk(image), f"uname -r\n{SHORT}\necho done", image=linux()) as guest:
        guest.boot(BOOT)
        assert time.monotonic() - begin < BOOT
        assert guest.wait() == 0
        assert guest.over
        lines = guest.text.splitlines()
    assert version_of(linux().kernel) in lines
    assert "done" in lines
    assert clean(image)[0]


@needs_linux
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_commands_and_a_console_beside_each_other(tmp_path):
    image = empty_image(tmp_path / "disk, with a comma.img", 64)
    with LinuxGuest(disk(image), image=linux()) as guest:
        assert guest.run("uname -r").text.strip() == version_of(linux().kernel)
        assert guest.run("cat /sys/block/vda/size") == (0, f"{(64 << 20) // 512}\n")
        assert guest.run("cat; printf 'a\\r\\nb'; exit 3") == (3, "a\nb")
        assert guest.run("if [").status == 2
        assert guest.run("echo in vain >&2; false") == (1, "in vain\n")
        assert guest.run("nproc").text == "2\n"
        assert guest.run("mke2fs -q -t ext4 /dev/vda && mount -t ext4 /dev/vda /mnt") == (0, "")
        assert guest.run("echo kept > /mnt/file") == (0, "")
        guest.expect("linux# ")
        guest.press("echo $((6 * 7))\n")
        guest.expect("\r\n42\r\n")
        assert "\x1b[6n" not in guest.text
        guest.power_off()
        assert guest.over
    assert clean(image)[0]


@needs_linux
def test_what_qemu_says_is_in_the_error():
    with LinuxGuest(["-device", "no-such"], image=linux()) as guest:
        with pytest.raises(ConnectionError, match=r"it was ready \(exit status 1: .*'no-such'"):
            guest.boot()
        assert guest.over


@needs_linux
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_command_has_no_longer_than_it_is_given_and_nothing_is_left_running():
    with LinuxGuest(image=linux()) as guest:
        guest.boot(BOOT)
        process = guest._qemu.process
        with pytest.raises(TimeoutError, match=r"^0\.5 s went by before 'sleep 30' was done; on "):
            guest.run("sleep 30", 0.5)
        assert guest.over
        assert process.poll() is not None


@needs_linux
def test_a_panic_is_quoted():
    guest = LinuxGuest(append="rdinit=/none", image=linux())
    with guest, pytest.raises(ConnectionError, match=r"was ready.*: \[.*\] Kernel panic - not"):
        guest.boot()


@needs_linux
def test_the_archive_is_read_by_another_program(tmp_path):
    """The cpio of busybox, which goes into the archive itself."""
    busybox = find_program("busybox", find_linux().root)
    done = subprocess.run(
        [busybox, "cpio", "-idm"], input=linux().initrd, cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bin/busybox").read_bytes() == busybox.read_bytes()
    assert (tmp_path / "usr/sbin/mkfs.ext4").readlink().name == "mke2fs"
    order = (tmp_path / "virtlab/order").read_text().split()
    assert order.index("virtio_ring") < order.index("virtio") < order.index("virtio_pci")
    assert {path.stem for path in (tmp_path / "virtlab/modules").iterdir()} == set(order)
