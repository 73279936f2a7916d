"""Our driver on QEMU's disk: the transcript is what QEMU answers, and follows nobody else."""

import pytest

from tests.needs import needs_qemu
from virtlab.hosts.qemu import find_qemu
from virtlab.show import real_qemu
from virtlab.show.real_qemu import Scribe, Strayed, Transcript, find_disk, greet, qemu_disk, record

GREETING = (2048, "a disk of QEMU", b"from a driver in Python")


def test_the_driver_runs_on_the_transcript():
    with qemu_disk("recorded") as cpu:
        assert greet(cpu) == GREETING


def test_who_asks_something_else_strays():
    with qemu_disk("recorded") as cpu:
        disk = find_disk(cpu)
        disk.start()
        with pytest.raises(Strayed, match=r"call \d+: .*, where it was "):
            disk.write(8, bytes(512))


def test_after_the_end_there_is_nothing():
    with qemu_disk("recorded") as cpu:
        greet(cpu)
        with pytest.raises(Strayed, match=r"inp\(96, 1\), where it was the end"):
            cpu.inp(0x60)


def test_every_verb_is_kept_and_played():
    class Desk:
        def inp(self, port, size):
            return port

        load = inp

        def out(self, port, value, size):
            return None

        store = out

        def read(self, gpa, length):
            return b"\0\xff" * length

        def write(self, gpa, data):
            return None

        def wait(self, timeout):
            return 33

    def everything(cpu):
        cpu.out(1, 2, 4)
        cpu.store(1, 2, 8)
        cpu.write(3, b"\xff")
        return cpu.inp(5), cpu.load(6), cpu.read(7, 2), cpu.wait(9)

    scribe = Scribe(Desk())
    answers = everything(scribe)
    assert answers == (5, 6, b"\0\xff\0\xff", 33)
    assert everything(Scribe(Transcript(scribe.calls))) == answers


@needs_qemu
def test_qemu_answers_as_the_transcript_says(tmp_path, monkeypatch):
    """A new one of today's QEMU is followed by the driver in the same way."""
    assert find_qemu()
    file = tmp_path / "new.jsonl.gz"
    assert record(str(file)) > 500
    monkeypatch.setattr(real_qemu, "FILE", (file,))
    with qemu_disk("recorded") as cpu:
        assert greet(cpu) == GREETING
