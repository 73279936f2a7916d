"""The live tier with a stand-in for QEMU: what is asked, what is heard, and that nothing stays."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hosts.linux_stand_in import IMAGE, gone, stand_in, words_of
from virtlab.hosts import linux, live, live_linux, live_record, live_works
from virtlab.hosts.live import WORKS, session
from virtlab.hosts.live_linux import about, qemu_version
from virtlab.hosts.live_served import ServedDisk
from virtlab.hosts.live_works import shown
from virtlab.virtio.vhost_user.statistics import Statistics

WORKING = r"""
tell("\x1eready\n")
time.sleep(0.02)
say("BusyBox\r\nlinux# ")
for command in commands():
    name = command.split("'")[3]
    say(f"{name}\r\nlinux# ")
    tell(f"did {name}\x1estatus {int('fsck' in name)}\n")
"""
"""A guest whose commands all succeed, but for the last one."""

HANGING = WORKING + "    time.sleep(60)\n"
DYING = WORKING + "    sys.exit('out of order')\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Gives a function: from then on QEMU is a program that does what is given."""

    def be(body):
        program = stand_in(tmp_path, body)
        for module in (linux, live_linux):
            monkeypatch.setattr(module, "find_qemu", lambda: program)

    kernel = SimpleNamespace(kernel=Path("vmlinuz"))
    monkeypatch.setattr(live_linux, "find_linux", lambda: kernel)
    monkeypatch.setattr(live_linux, "linux_image", lambda linux: IMAGE)
    monkeypatch.setattr(live_linux, "version_of", lambda kernel: "6.1.0")
    monkeypatch.setenv(live.VARIABLE, "live")
    return be


def state():
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def pid(tmp_path):
    return int((tmp_path / "pid").read_text())


def test_each_work_is_a_command_and_what_it_prints_is_heard(machine):
    machine(WORKING)
    with session() as real:
        assert real.tier.name == "live"
        driver = real.work("driver")
        assert (driver.status, driver.requests) == (0, 0)
        assert driver.text == f"did {WORKS['driver'].split(chr(39))[0]}"
        assert real.work("fsck").status == 1
        assert [work.command for work in real.done.values()] == list(WORKS.values())
        tape = real.tape
        assert [said.name for said in tape.said] == list(WORKS)
        assert [said.began for said in tape.said] == sorted(said.began for said in tape.said)
        assert tape.said[0].began == 0
        assert real.console.startswith("BusyBox\nlinux# dmesg")
        assert tape.console.decode().replace("\r", "") == real.console
        assert tape.about["kernel"] == "6.1.0"
        assert (real.shot(), real.statistics.requests) == (None, 0)
    # What was seen can still be asked for.
    assert real.tape.moments == tape.moments
    assert real.shot() is None
    assert real.image() == bytes(16 << 20)
    assert real.console.startswith("BusyBox")


def test_a_work_has_what_was_counted_meanwhile_and_the_first_all_since_the_start(
    machine, monkeypatch
):
    counted = iter([5, 7, 10])
    monkeypatch.setattr(
        ServedDisk, "statistics", property(lambda self: Statistics(requests=next(counted)))
    )
    machine(WORKING)
    with session() as real:
        assert real.work("driver").requests == 5
        assert real.work("mkfs").requests == 3
        assert [said.counts.requests for said in real.tape.said] == [5, 3]


@pytest.mark.parametrize(("ring", "packed"), [("split", False), ("packed", True)])
def test_qemu_is_given_our_disk_with_a_small_ring(machine, tmp_path, ring, packed):
    machine(WORKING)
    with session(ring=ring) as real:
        real.work("driver")
        device = next(word for word in words_of(tmp_path) if word.startswith("vhost-user-blk"))
        assert ",queue-size=8" in device
        assert (",packed=on" in device) == packed
        assert real.tape.about["ring"] == ring


TYPED = (
    WORKING.splitlines()[1]
    + r"""
say("linux# ")
say(console.recv(64).decode() + "\r\nbin")
time.sleep(60)
"""
)
"""A guest at whose console somebody types."""


def test_the_console_is_heard_though_nobody_waits(machine):
    machine(TYPED)
    with session() as real:
        real.press("ls")
        for _ in range(500):
            if real.console == "linux# ls\nbin":
                break
            time.sleep(0.01)
        assert real.console == "linux# ls\nbin"
        assert real.tape.console == b"linux# ls\r\nbin"


FLOOD = WORKING.replace("    name =", "    say('x' * 2_000_000)\n    name =")
"""A guest that prints more than anybody keeps."""


def test_a_guest_that_prints_without_an_end_is_heard_and_bounded(machine, monkeypatch):
    monkeypatch.setattr(live_record, "BYTES", 1 << 20)
    machine(FLOOD)
    with session() as real:
        assert real.work("mkfs").status == 0
        assert len(real.console) <= 1 << 20
        assert real.tape.about["left_out"]["moments"] > 0


def test_a_console_is_looked_at_while_a_thread_does_a_work(machine):
    machine(WORKING.replace("    name =", "    time.sleep(0.1)\n    name ="))
    with session() as real:
        worker = threading.Thread(target=real.work, args=("sums",))
        worker.start()
        while worker.is_alive():
            assert real.tape.console.startswith((b"", b"BusyBox"))
            assert real.console == "" or real.console.startswith("BusyBox")
        worker.join()
        assert len(real.done) == 5


def test_nothing_stays_behind_twice_in_a_row(machine, tmp_path):
    machine(WORKING)
    before = state()
    for _ in range(2):
        with session() as real:
            real.work("mkfs")
            folder = real._served.folder
            assert state() != before
        real.close()
        assert not folder.exists()
        assert gone(pid(tmp_path))
        assert state() == before


def test_two_sessions_at_once(machine):
    machine(WORKING)
    with session() as one, session() as two:
        assert one._served.path != two._served.path
        assert one.work("driver") == two.work("driver")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_interrupts_a_work_ends_the_session(machine, tmp_path, monkeypatch, error):
    machine(WORKING)
    before = state()
    with session() as real:
        real.work("driver")

        def interrupted(*_):
            raise error

        monkeypatch.setattr(real._guest, "run", interrupted)
        with pytest.raises(error):
            real.work()
        assert gone(pid(tmp_path))
        assert not real._served.folder.exists()
        monkeypatch.undo()
        with pytest.raises(ConnectionError):
            real.work()
        assert list(real.done) == ["driver"]
    del real, interrupted
    assert state() == before


def test_a_guest_that_does_not_answer_is_not_waited_for(machine, monkeypatch):
    machine(HANGING)
    with session() as real:
        real.work("driver")
        monkeypatch.setattr(live_linux, "COMMAND", 0.3)
        with pytest.raises(TimeoutError, match="went by before"):
            real.work("mkfs")
        assert not real._served.folder.exists()


def test_a_guest_that_ends_says_why(machine):
    machine(DYING)
    with session() as real:
        real.work("driver")
        with pytest.raises(ConnectionError, match="out of order"):
            real.work("mkfs")


def test_a_session_that_nobody_closes_ends_with_the_object(machine, tmp_path):
    machine(WORKING)
    before = state()
    real = session()
    real.work("driver")
    folder = real._served.folder
    del real
    assert state() == before
    assert not folder.exists()
    assert gone(pid(tmp_path))


def test_where_qemu_does_not_start_nothing_stays_behind(machine, monkeypatch):
    monkeypatch.setattr(linux, "find_qemu", lambda: None)
    before = state()
    with pytest.raises(FileNotFoundError, match="apt install qemu"):
        session()
    assert state() == before


def test_a_command_is_shown_on_the_console_and_its_status_is_its_own(monkeypatch):
    monkeypatch.setattr(live_works, "CONSOLE", "/dev/stderr")
    command = "x=7; echo 'a  b' \"$x\" | grep -o 'a.*'; ls /none 2>/dev/null; (exit 3)"
    done = subprocess.run(["bash", "-c", shown(command)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "a  b 7\n")
    assert done.stderr == f"{command}\na  b 7\nlinux# "


def test_the_version_of_qemu_is_what_it_says(monkeypatch, tmp_path):
    program = tmp_path / "qemu"
    program.write_text('#!/bin/sh\necho "QEMU emulator version 7.2.22 (Debian 1:7.2)"\n')
    program.chmod(0o755)
    monkeypatch.setattr(live_linux, "find_qemu", lambda: str(program))
    assert qemu_version() == about("6.1", "split", 8, 512)["qemu"] == "7.2.22"
    program.write_text("#!/bin/sh\necho version\n")
    assert qemu_version() == ""
    monkeypatch.setattr(live_linux, "find_qemu", lambda: None)
    assert qemu_version() == ""


def test_power_off_lets_linux_end(machine):
    body = WORKING.replace("    name =", "    if command.startswith('sync'): break\n    name =")
    machine(body)
    with session() as real:
        real.work("driver")
        real.power_off()
        assert "linux# " in real.console
