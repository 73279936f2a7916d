"""The tiers of a session, and the lowest of them: a recording that is played to our own disk."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from virtlab.errors import FileError
from virtlab.hosts import live, live_session
from virtlab.hosts.live import TIERS, WORKS, Tier, content, recorded, session, sums, tier
from virtlab.hosts.live_blk import Differs
from virtlab.hosts.live_tape import RecordedSession
from virtlab.hosts.tape import Tape

RINGS = pytest.mark.parametrize("ring", ["split", "packed"])


@pytest.fixture(autouse=True)
def _unasked(monkeypatch):
    """Nobody has named a tier."""
    monkeypatch.delenv(live.VARIABLE, raising=False)


# -- which tier


class Found:
    """A Linux that was found."""

    kernel, root = "a kernel", "a root"

    @property
    def modules(self):
        return self

    def order(self, names):
        return list(names)


@pytest.fixture
def machine(monkeypatch):
    """A machine that has everything."""
    monkeypatch.setattr(live, "find_qemu", lambda: "/usr/bin/qemu")
    monkeypatch.setattr(live, "find_linux", Found)
    monkeypatch.setattr(live, "find_program", lambda name, root: name)
    monkeypatch.setattr(live, "version_of", lambda kernel: "6.1.0")
    monkeypatch.setattr(sys, "platform", "linux")
    return monkeypatch


def raising(error):
    def fail(*_):
        raise error

    return fail


def test_a_machine_with_everything_is_live(machine):
    assert tier() == Tier("live", "a Linux runs here: 6.1.0, in QEMU")


@pytest.mark.parametrize("name", ["find_linux", "find_program", "order", "version_of"])
def test_what_linux_lacks_is_said_and_qemu_runs_without_it(machine, name):
    where = Found if name == "order" else live
    machine.setattr(where, name, raising(FileNotFoundError("no kernel: sudo apt install one")))
    why = "QEMU runs here, without a Linux: no kernel: sudo apt install one"
    if name == "version_of":
        machine.setattr(live, "find_linux", raising(FileError("vmlinuz", 5, "no kernel")))
        why = "QEMU runs here, without a Linux: vmlinuz: byte 5: no kernel"
    assert tier() == Tier("qtest", why)


def test_without_qemu_a_recording_is_played(machine):
    machine.setattr(live, "find_qemu", lambda: None)
    assert tier().name == "recorded"
    assert "sudo apt install qemu-system-x86" in tier().why


@pytest.mark.parametrize("platform", ["darwin", "win32", "emscripten"])
def test_on_another_system_a_recording_is_played(machine, platform):
    machine.setattr(sys, "platform", platform)
    assert tier().name == "recorded"


@pytest.mark.parametrize("name", TIERS)
def test_a_tier_that_was_asked_for_is_taken_whatever_is_there(machine, name):
    assert tier(name).name == name
    machine.setenv(live.VARIABLE, name)
    machine.setattr(live, "find_qemu", lambda: None)
    assert tier().name == name
    assert "asked for" in tier().why
    machine.setenv(live.VARIABLE, "")
    assert "asked for" not in tier().why


def test_an_unknown_tier_or_ring_is_refused(machine):
    with pytest.raises(ValueError, match="no tier 'dead'; there are live, qtest, recorded"):
        tier("dead")
    machine.setenv(live.VARIABLE, "dead")
    with pytest.raises(ValueError, match="no tier 'dead'"):
        session()
    for wrong in (session, recorded):
        with pytest.raises(ValueError, match="split or packed, not 'round'"):
            wrong(ring="round")


# -- the recordings


@RINGS
def test_a_recording_is_small_and_says_what_it_is(ring):
    tape = recorded(ring)
    about = tape.about
    assert set(about) == {"what", "how", "kernel", "qemu", "ring", "slots", "disk", "left_out"}
    assert (about["ring"], about["slots"], about["disk"]) == (ring, 8, 16 << 20)
    assert about["kernel"].startswith("6.")
    assert about["qemu"].startswith("7.2")
    assert about["left_out"]["moments"] == about["left_out"]["chains"] == 0
    assert [(said.name, said.command) for said in tape.said] == list(WORKS.items())
    assert [said.status for said in tape.said] == [0] * len(WORKS)
    assert tape.said[4].text == sums()


@RINGS
def test_the_counts_of_a_recording_are_those_of_its_events(ring):
    for said, part in recorded(ring).parts():
        events = [moment.what for moment in part if moment.kind == "event"]
        kinds = [event.kind for event in events]
        pops = [event for event in events if event.kind == "pop"]
        counts = said.counts
        assert (counts.kicks, counts.calls) == (kinds.count("kick"), kinds.count("call"))
        assert (counts.quiet, counts.batches) == (kinds.count("quiet"), len(pops))
        assert counts.requests == sum(len(pop.heads) for pop in pops)
        assert counts.requests == sum(moment.kind == "chain" for moment in part)
        assert counts.bytes == sum(sum(pop.lengths) for pop in pops)
        assert said.began <= part[-1].ns


@RINGS
def test_a_recording_has_no_trace_of_the_machine_that_made_it(ring, tmp_path):
    tape = recorded(ring)
    tape.write(tmp_path / "tape.jsonl")
    text = (tmp_path / "tape.jsonl").read_text()
    assert len(text) < 2 << 20
    for word in ("/tmp", "/home", "/work", "root@", "virtlab-", ".sock"):
        assert word not in text


# -- a recording that is played


@RINGS
def test_every_work_is_done_again_and_the_disk_is_filled_as_it_was(ring):
    with session("recorded", ring) as real:
        assert real.tier.name == "recorded"
        assert (real.console, real.shot(), real.statistics.requests) == ("", None, 0)
        works = [real.work() for _ in real.works]
        assert [(work.name, work.command, work.status) for work in works] == [
            (name, command, 0) for name, command in WORKS.items()
        ]
        assert real.work("sums").text == sums()
        image = real.image()
        assert image == real.disk.read(0, 32768)
        for number in range(1, 5):
            assert content(number)[:1024] in image
        assert real.statistics.requests == sum(work.requests for work in works)
        assert real.statistics.bytes == sum(work.bytes for work in works)
        assert real.console.count("linux# ") == len(works) + 1
        assert real.shot().packed == (ring == "packed")
        assert real.shot(1) is None
        assert real.tape == recorded(ring)


def test_the_sums_are_those_of_the_files():
    assert sums().splitlines()[1] == f"{hashlib.sha256(content(2)).hexdigest()}  /mnt/numbers2"
    assert content(2).startswith(b"20000\n20001\n")
    assert content(4).endswith(b"\n45000\n")


def test_a_work_asks_for_those_before_it_and_is_done_once():
    with session("recorded") as real:
        mount = real.work("mount")
        assert list(real.done) == ["driver", "mkfs", "mount"]
        requests, image = real.statistics.requests, real.image()
        assert real.work("mount") is mount
        assert real.work("driver") is real.done["driver"]
        assert (real.statistics.requests, real.image()) == (requests, image)
        assert len(real.tape.said) == 3
        assert real.work().name == "files"
        assert repr(real) == "RecordedSession(recorded, 4 of 7)"
        real.work("fsck")
        assert real.work() is real.done["fsck"]


def test_an_unknown_work_is_refused_and_does_nothing():
    with session("recorded") as real:
        with pytest.raises(ValueError, match="no work 'umount'; there are driver, mkfs"):
            real.work("umount")
        assert real.done == {}


def test_nobody_is_at_the_console_of_a_recording():
    with session("recorded") as real, pytest.raises(ValueError, match="'recorded'"):
        real.press("ls\n")


def test_a_request_that_is_answered_otherwise_than_then_is_an_error():
    tape = recorded()
    at = next(n for n, m in enumerate(tape.moments) if m.kind == "chain" and m.what.data[0] == 1)
    moment = tape.moments[at]
    head = moment.what.data[:16]
    tape.moments[at] = moment._replace(what=moment.what._replace(data=head + bytes(1024)))
    with pytest.raises(Differs), RecordedSession(Tier("recorded", ""), tape=tape) as real:
        real.work("fsck")


@pytest.mark.parametrize("name", ["disk", "slots"])
@pytest.mark.parametrize("value", [None, "8", 0, -1, True, (1 << 30) + 1, 1 << 50])
def test_a_tape_that_does_not_say_its_disk_is_refused(name, value):
    tape = Tape({"disk": 512, "slots": 8} | {name: value})
    with pytest.raises(ValueError, match=f"does not say its '{name}'"):
        RecordedSession(Tier("recorded", ""), tape=tape)


def test_a_tape_of_something_else_has_none_of_the_works():
    whole = recorded()
    silent = [moment for moment in whole.moments if moment.kind != "said"]
    behind = whole.moments[len(next(whole.parts())[1]) :]
    for moments, why in ((silent, "it ends"), (behind, "it goes on with 'mkfs'")):
        real = RecordedSession(Tier("recorded", ""), tape=Tape(whole.about, moments))
        with pytest.raises(ValueError, match=f"no 'driver' here: {why}"):
            real.work()


# -- is it clean?


def test_this_machines_own_fsck_is_asked(monkeypatch, tmp_path):
    program = tmp_path / "e2fsck"
    program.write_text(
        '#!/bin/sh\necho "$1 $2 ${3##*/} $(wc -c < $3)"\necho "$3: wrong" >&2\nexit 4\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(live_session, "find_program", lambda name: program)
    with session("recorded") as real:
        real.work("mkfs")
        clean, words = real.fsck()
    assert not clean
    assert words == (
        "this machine's e2fsck, exit status 4:\ndisk.img: wrong\n-f -n disk.img 16777216\n"
    )


def test_without_one_what_linuxs_own_has_said_is_given(monkeypatch):
    monkeypatch.setattr(live_session, "find_program", raising(FileNotFoundError("e2fsck")))
    with session("recorded") as real:
        clean, words = real.fsck()
        assert clean
        assert words.startswith("Linux's own e2fsck, exit status 0:\ne2fsck 1.")
        assert real.done["fsck"].text in words


def test_a_recording_is_played_without_anything_that_only_linux_has():
    """As on a system where those modules are not: whoever imports one of them fails."""
    program = """
import sys
for name in ("fcntl", "termios", "resource"):
    sys.modules[name] = None
sys.platform = "emscripten"
from virtlab.hosts.live import session, sums
with session() as real:
    assert real.tier.name == "recorded"
    assert real.work("sums").text == sums()
    print(real.fsck().words.splitlines()[0])
assert "virtlab.virtio.vhost_user.loop" not in sys.modules
assert "virtlab.hosts.live_served" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert "e2fsck, exit status 0" in done.stdout
