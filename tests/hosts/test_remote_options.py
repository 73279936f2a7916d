"""A `QtestMachine` as it is asked for: words for QEMU, stepped time, shared memory, mistakes.

Where no QEMU is needed there is a stand-in, which notes its arguments and answers both protocols.
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.descriptors import fd_count
from tests.needs import needs_qemu
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.hosts import remote
from virtlab.hosts.remote import QtestMachine
from virtlab.hosts.remote_start import MOST_MIB

STAND_IN = """#!{python}
import json, os, select, sys
def fd_of(name):
    return int(next(a for a in sys.argv if a.startswith("socket,id=" + name)).split("fd=")[1])
qtest, qmp = fd_of("qtest"), fd_of("qmp")
open({words!r}, "w").write("\\n".join(sys.argv[1:]))
os.write(qmp, b'{{"QMP": {{}}}}\\n')
now = 0
while True:
    for fd in select.select([qtest, qmp], [], [])[0]:
        lines = os.read(fd, 65536).splitlines()
        if not lines:
            sys.exit()
        for line in lines:
            reply = b'{{"return": {{}}}}'
            if fd == qtest:
                verb, *rest = line.split()
                reply = b"OK"
                if verb == b"clock_step":
                    now += int(rest[0])
                    reply = b"OK %d" % now
                elif verb == b"inb":
                    reply = b"OK 0x84" if now >= {irq_at} else b"OK 0x00"
            os.write(fd, reply + b"\\n")
"""


class Stand:
    """Makes stand-ins in `folder`: at `irq_at` ns of stepped time input 4 of the 8259A is high."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *words, irq_at=1 << 62, **options):
        path = self.folder / "qemu"
        noted = str(self.folder / "words")
        path.write_text(STAND_IN.format(python=sys.executable, words=noted, irq_at=irq_at))
        path.chmod(0o755)
        return QtestMachine(*words, qemu=str(path), **options)

    @property
    def words(self):
        return (self.folder / "words").read_text().split("\n")


@pytest.fixture
def stand(tmp_path):
    return Stand(tmp_path)


# -- words


@pytest.mark.parametrize("extra", ["-device 'edu, x' -S", ["-device", "edu, x", "-S"]])
def test_more_words_come_last_as_text_or_as_words(stand, extra):
    with stand("q35", extra, ram_mib=16):
        words = stand.words
    assert words[-3:] == ["-device", "edu, x", "-S"]
    assert words[words.index("-machine") + 1] == "q35"
    assert words[words.index("-m") + 1] == "16M"
    assert words[words.index("-accel") + 1] == "tcg"


def test_time_stands_still_or_is_stepped(stand):
    with stand(paused=True) as machine:
        assert "-S" in stand.words
        assert repr(machine) == "QtestMachine('pc', paused)"
    with stand(stepped=True) as machine:
        words = stand.words
        assert "-S" not in words
        assert words[words.index("-accel") + 1] == "qtest"
        assert words[words.index("-rtc") + 1] == "clock=vm"
        assert repr(machine) == "QtestMachine('pc', at 0 ns)"


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"extra": ["-m", 3]}, TypeError, "QEMU's arguments are text, not 3"),
        ({"machine": None}, TypeError, "QEMU's arguments are text, not None"),
        ({"ram_mib": 0}, ValueError, f"ram_mib is 1 to {MOST_MIB} MiB, not 0"),
        ({"ram_mib": MOST_MIB + 1}, ValueError, "ram_mib is 1 to"),
        ({"paused": True, "stepped": True}, ValueError, "paused or stepped, not both"),
    ],
)
def test_what_cannot_be_asked_for_starts_nothing(options, kind, why):
    before = fd_count()
    with pytest.raises(kind, match=why):
        QtestMachine(**options, shared=True, qemu="/nothing")
    assert fd_count() == before


@needs_qemu
@pytest.mark.parametrize("extra", ["-device no-such-device", "-no-such-option", "-device edu,x=1"])
def test_what_qemu_refuses_it_says_itself_and_nothing_is_left(extra):
    before = fd_count()
    with pytest.raises(ConnectionError, match=r"exit status 1: .*(no-such-|edu\.x)"):
        QtestMachine("pc", extra, shared=True)
    assert fd_count() == before


# -- after the end


@needs_qemu
def test_a_machine_that_was_lost_says_why_again_and_again():
    with QtestMachine(paused=True) as machine:
        machine._qemu.process.kill()
        for _ in range(3):
            with pytest.raises(ConnectionError, match="QEMU has ended: exit status -9"):
                machine.inp(0x3FD)
        with pytest.raises(ConnectionError, match="closed: QEMU has ended: exit status -9"):
            machine.wait(1)


# -- stepped time


def test_a_step_moves_time_and_nothing_else_does(stand):
    with stand(stepped=True) as machine:
        assert machine.step(500) == machine.now == 500
        machine.inp(0x3FD)
        assert machine.now == 500
        assert machine.step(1) == 501
        assert repr(machine) == "QtestMachine('pc', at 501 ns)"


@pytest.mark.parametrize("ns", [0, -1])
def test_time_does_not_stand_or_go_back(stand, ns):
    with stand(stepped=True) as machine, pytest.raises(ValueError, match="ns is above 0"):
        machine.step(ns)


def test_only_stepped_time_can_be_stepped(stand):
    with stand() as machine, pytest.raises(ValueError, match="can be stepped"):
        machine.step(1)


@pytest.mark.parametrize("timeout", [3, 100_000, 1_000_000])
def test_a_wait_without_an_interrupt_takes_its_time_exactly(stand, timeout):
    with stand(stepped=True) as machine:
        assert machine.wait(timeout) is None
        assert machine.now == timeout
        assert machine.wait(0) is None
        assert machine.now == timeout


def test_a_wait_ends_with_the_interrupt(stand):
    """Its vector is the level on the base of ICW2; time is no more than a step late."""
    with stand(stepped=True, irq_at=300_000) as machine:
        for port, value in ((0x20, 0x11), (0x21, 0x20)):
            machine.out(port, value)
        assert machine.wait(1_000_000) == 0x24
        assert 300_000 <= machine.now <= 301_000


def test_a_wait_has_an_end_in_real_time_too(stand, monkeypatch):
    monkeypatch.setattr(remote, "MAX_WAIT", 0.0)
    with stand(stepped=True) as machine:
        assert machine.wait(1 << 60) is None
        assert machine.now < 1 << 60


# -- shared memory


@needs_qemu
def test_shared_memory_is_one_memory():
    """What a verb writes, a message reads, and the device moves by DMA; and the other way round."""
    with QtestMachine("pc", "-device edu", shared=True) as machine:
        assert machine.ram.size == 64 << 20
        machine.store(0x20_0000, 0x1122_3344_5566_7788, 8)
        assert int(machine.command("readq 0x200000"), 16) == 0x1122_3344_5566_7788
        machine.command("writew 0x300000 0xabcd")
        assert (machine.load(0x30_0000, 2), machine.ram.load(0x30_0000, 2)) == (0xABCD, 0xABCD)
        (edu,) = (found for found in enumerate_pci(machine) if found.vendor == 0x1234)
        driver = EduDriver(machine, edu.bar(0))
        machine.write(0x40_0000, b"through the device")
        driver.to_device(0x40_0000, 18)
        driver.from_device(0x50_0000, 18)
        assert machine.read(0x50_0000, 18) == b"through the device"


@needs_qemu
def test_what_is_not_ram_is_asked_of_qemu():
    """Below 1 MiB, beyond the end, across it, and accesses that there are not."""
    end = 64 << 20
    with QtestMachine("pc", shared=True, paused=True) as machine:
        machine.ram.write(0x10_0000, b"\x55" * 8)
        before = machine.answered
        assert machine.load(0x10_0000, 8) == 0x5555_5555_5555_5555
        assert machine.read(end - 4, 4) == bytes(4)
        assert machine.answered == before
        assert machine.load(end, 4) == 0
        machine.write(end - 4, b"12345678")
        assert machine.ram.read(end - 4, 4) == b"1234"
        assert machine.load(0x10_0000, 3) == 0xFF_FFFF
        machine.store(0x10_0000, 0, 3)
        assert machine.ram.load(0x10_0000, 8) == 0x5555_5555_5555_5555
        assert machine.read(0xF_FFF0, 16) != machine.ram.read(0xF_FFF0, 16) == bytes(16)  # a ROM
        machine.write(0x9_FFFC, b"low")
        assert machine.ram.read(0x9_FFFC, 3) == machine.read(0x9_FFFC, 3) == b"low"
        assert machine.load(-8, 8) == (1 << 64) - 1


@needs_qemu
def test_shared_memory_goes_with_the_machine():
    before = fd_count()
    machine = QtestMachine(shared=True, paused=True)
    machine.close()
    machine.store(0x20_0000, 7)
    assert machine.load(0x20_0000) == 7
    del machine
    assert fd_count() == before


@needs_qemu
def test_a_message_in_shared_memory_is_heard():
    with QtestMachine(shared=True, paused=True) as machine:
        inbox = machine.inbox(0x10_0000)
        assert machine.wait(1) is None
        address, data = inbox.message(0x99)
        machine.command(f"writel {address:#x} {data:#x}")
        assert machine.wait(1) == 0x99
        with pytest.raises(ValueError, match="no RAM"):
            machine.inbox(0xFFFF_0000)


def test_memory_of_a_file_that_others_can_find_is_named_by_its_descriptor(stand):
    with stand(shared=True) as machine:
        words = stand.words
    where = f"/proc/{os.getpid()}/fd/{machine.ram.fd}"
    assert words[words.index("-object") + 1].split("mem-path=")[1] == f"{where},share=on"
    assert words[words.index("-machine") + 1] == "pc,memory-backend=ram"
