"""QEMU as a `Cpu`: the verbs, what never reaches QEMU, interrupts, and that it always ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.needs import needs_qemu
from virtlab.cpu import MAX_MOVE, Cpu, Recorder
from virtlab.hosts import qemu
from virtlab.hosts.qtest import CHUNK
from virtlab.hosts.qtest_verbs import MOVE
from virtlab.hosts.remote import QtestMachine
from virtlab.trace import Access

THR, LSR, SCRATCH = 0x3F8, 0x3FD, 0x3FF
MASTER_SETUP = ((0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01))
SLAVE_SETUP = ((0xA0, 0x11), (0xA1, 0x28), (0xA1, 0x02), (0xA1, 0x01))


@pytest.fixture(scope="module")
def machine():
    with QtestMachine("pc", paused=True) as machine:
        yield machine


def program(tmp_path: Path, body: str) -> str:
    """A stand-in for QEMU: it notes its `pid` and does `body`; `fd` is its test protocol."""
    path = tmp_path / "qemu"
    find = "fd = int(next(a for a in sys.argv if a.startswith('socket,id=qtest')).split('fd=')[1])"
    note = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{find}\n{note}\n{body}\n")
    path.chmod(0o755)
    return str(path)


# -- the six verbs


@needs_qemu
def test_it_is_a_cpu(machine):
    cpu: Cpu = machine
    cpu.out(SCRATCH, 0xA5)
    assert cpu.inp(SCRATCH) == 0xA5
    cpu.store(0x1000, 0x1122334455667788, 8)
    assert [cpu.load(0x1000, size) for size in (1, 2, 4)] == [0x88, 0x7788, 0x55667788]
    cpu.write(0x2000, b"string")
    assert cpu.read(0x2000, 6) == b"string"
    assert cpu.wait(1) is None


@needs_qemu
def test_a_value_too_wide_for_its_size_loses_the_rest(machine):
    machine.out(SCRATCH, 0x1234)
    assert machine.inp(SCRATCH) == 0x34
    machine.store(0x1000, -1, 4)
    machine.store(0x1004, 0, 4)
    assert machine.load(0x1000, 8) == 0xFFFFFFFF


@needs_qemu
def test_a_string_move_may_be_longer_than_one_command(machine):
    data = os.urandom(3 * MOVE + 7)
    machine.write(0x10000, data)
    assert machine.read(0x10000, len(data)) == data
    assert machine.read(0x10000, 0) == b""


@needs_qemu
@pytest.mark.parametrize("length", [-1, MAX_MOVE + 1])
def test_a_string_move_is_bounded(machine, length):
    with pytest.raises(ValueError, match="a string move has"):
        machine.read(0, length)


@needs_qemu
@pytest.mark.parametrize(
    ("port", "size", "answer"),
    [
        (LSR, 3, 0xFFFFFF),
        (LSR, 8, 0xFFFFFFFF),
        (LSR, 0, 0),
        (LSR, -1, 0),
        (0x10000, 1, 0xFF),
        (0xFFFF, 2, 0xFFFF),
        (-1, 1, 0xFF),
        (0x9999, 4, 0xFFFFFFFF),
    ],
)
def test_what_no_processor_sends_is_answered_here_with_all_ones(machine, port, size, answer):
    machine.out(port, 0x55, size)
    assert machine.inp(port, size) == answer
    assert machine.inp(LSR) == 0x60


@needs_qemu
def test_memory_beyond_52_bits_is_answered_here(machine):
    machine.store(1 << 52, 1, 8)
    machine.write((1 << 52) - 1, b"ab")
    assert machine.load((1 << 52) - 7, 8) == (1 << 64) - 1
    assert machine.load(0, 16) == (1 << 64) - 1
    assert machine.read((1 << 52) - 1, 2) == b"\xff\xff"


@needs_qemu
def test_a_pipeline_gives_the_accesses_back_with_the_answers(machine):
    writes = [Access(i, True, "memory", 8 * i, 8, i * i) for i in range(3 * CHUNK)]
    reads = [Access(i, False, "memory", 8 * i, 8, 0) for i in range(3 * CHUNK)]
    never = Access(0, False, "port", 0x10000, 1, 0)
    done = machine.pipeline([*writes, never, *reads])
    assert done[: len(writes)] == writes
    assert done[len(writes)] == never._replace(value=0xFF)
    assert [access.value for access in done[len(writes) + 1 :]] == [i * i for i in range(3 * CHUNK)]
    with pytest.raises(ValueError, match="port or memory, not to 'uart'"):
        machine.pipeline([Access(0, False, "uart", 0, 1, 0)])


@needs_qemu
def test_a_recorded_run_repeats_in_a_pipeline(machine):
    recorder = Recorder(machine)
    recorder.out(SCRATCH, 0x5A)
    recorder.inp(SCRATCH)
    recorder.load(0x1000, 2)
    assert machine.pipeline(recorder.accesses) == recorder.accesses


# -- beside the processor


def key(machine: QtestMachine) -> int:
    """The next byte of the serial line, once it is there."""
    assert any(machine.inp(LSR) & 1 for _ in range(100_000)), "nothing came"
    return machine.inp(THR)


@needs_qemu
def test_the_serial_line_both_ways(machine):
    machine.pipeline([Access(0, True, "port", THR, 1, byte) for byte in b"A" * 2000])
    assert machine.serial.sent().endswith(b"A" * 2000)
    assert machine.inp(LSR) & 0x60 == 0x60
    machine.terminal.type("ok")
    assert bytes((key(machine), key(machine))) == b"ok"


@needs_qemu
def test_commands_and_their_refusal(machine):
    assert machine.command("endianness") == "little"
    with pytest.raises(ValueError, match="FAIL Unknown command 'nonsense'"):
        machine.command("nonsense")
    assert machine.qmp("query-status")["running"] is False
    with pytest.raises(ValueError, match="VM not running"):
        machine.keyboard.press("A")
    assert repr(machine) == "QtestMachine('pc', paused)"


@needs_qemu
def test_interrupt_lines_are_told_when_asked_for():
    with QtestMachine("pc", paused=True) as machine:
        machine.command("irq_intercept_in ioapic")
        first = machine.answered
        machine.out(0x3F9, 0x02)
        machine.out(0x3F9, 0x00)
        assert [tuple(change) for change in machine.irqs] == [
            (first, 4, True),
            (first + 1, 4, False),
        ]


# -- interrupts


@needs_qemu
def test_wait_gives_the_vector_of_either_controller():
    """Vectors come from ICW2; the slave's level through the master's input 2."""
    with QtestMachine("q35") as machine:
        for port, value in (*MASTER_SETUP, *SLAVE_SETUP, (0x21, 0xF9), (0xA1, 0xEF)):
            machine.out(port, value)
        for port, value in ((0x64, 0x60), (0x60, 0x03), (0x64, 0xA8), (0x64, 0xD4), (0x60, 0xF4)):
            machine.out(port, value)
        assert machine.wait() == 0x2C
        assert machine.inp(0x60) == 0xFA
        machine.pipeline([Access(0, True, "port", port, 1, 0x20) for port in (0xA0, 0x20)])
        assert machine.wait(10_000_000) is None
        machine.keyboard.tap("A")
        for code in (0x1C, 0xF0, 0x1C):
            assert machine.wait() == 0x21
            assert machine.inp(0x60) == code
            machine.out(0x20, 0x20)
        machine.mouse.move(5, -3)
        assert machine.wait() == 0x2C
        assert [machine.inp(0x60) for _ in range(3)] == [0x28, 5, 0xFD]
        assert repr(machine) == "QtestMachine('q35', running)"


@needs_qemu
def test_a_request_that_has_gone_is_the_slaves_level_7(machine, monkeypatch):
    levels = iter([2, None])
    monkeypatch.setattr(machine._pics, "_level", lambda port: next(levels))
    for port, value in (*MASTER_SETUP, *SLAVE_SETUP):
        machine.out(port, value)
    assert machine.wait() == 0x2F


@needs_qemu
def test_a_reset_of_the_machine_is_an_event():
    with QtestMachine("pc", paused=True) as machine:
        machine.out(0x64, 0xFE)
        machine.settle()
        machine.qmp("query-status")
        assert list(machine.events) == ["RESET"]
        assert machine.inp(LSR) == 0x60


# -- it always ends


def gone(pid: int) -> bool:
    """Whether no such process is left, within two seconds."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@needs_qemu
def test_it_ends_with_the_block():
    with QtestMachine("pc", paused=True) as machine:
        pid = machine._qemu.process.pid
    assert gone(pid)
    machine.close()
    assert repr(machine) == "QtestMachine('pc', closed)"
    with pytest.raises(ConnectionError, match="this machine is closed"):
        machine.inp(LSR)


@needs_qemu
def test_it_ends_with_an_exception():
    with pytest.raises(ValueError, match="FAIL"), QtestMachine("pc", paused=True) as machine:
        machine.command("nonsense")
    assert gone(machine._qemu.process.pid)


@needs_qemu
@pytest.mark.parametrize("end", ["", "del machine; import gc; gc.collect(); time.sleep(9)", "KILL"])
def test_it_ends_with_python(end):
    """At a normal end, when the object is collected, and when Python is killed."""
    body = end if end != "KILL" else "time.sleep(9)"
    script = (
        "import time\nfrom virtlab.hosts.remote import QtestMachine\n"
        "machine = QtestMachine('pc', paused=True)\n"
        f"print(machine._qemu.process.pid, flush=True)\n{body}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as python:
        pid = int(python.stdout.readline())
        if end == "KILL":
            python.send_signal(signal.SIGKILL)
        assert gone(pid)
        python.kill()


@needs_qemu
def test_a_machine_may_start_in_any_thread():
    """Then the kernel cannot be asked to end it with Python, and it outlives the thread."""
    machines = []
    thread = threading.Thread(target=lambda: machines.append(QtestMachine("pc", paused=True)))
    thread.start()
    thread.join()
    with machines[0] as machine:
        assert machine.inp(LSR) == 0x60


def test_without_qemu_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert QtestMachine.available() is None
    with pytest.raises(FileNotFoundError, match="apt install qemu-system-x86"):
        QtestMachine()


@pytest.mark.parametrize("search", ["/usr/bin:/bin", ""])
def test_a_program_that_is_not_there_is_named(tmp_path, monkeypatch, search):
    """With setpriv, and where there is none."""
    monkeypatch.setenv("PATH", search)
    with pytest.raises((ConnectionError, FileNotFoundError), match="no-such-qemu"):
        QtestMachine(qemu=str(tmp_path / "no-such-qemu"))


@needs_qemu
def test_qemus_last_words_say_why_it_did_not_start():
    why = "exit status 1: .*unsupported machine type: Use -machine help"
    with pytest.raises(ConnectionError, match=why):
        QtestMachine("no-such-machine")


@needs_qemu
def test_a_qemu_that_ends_later_is_a_clear_error():
    with QtestMachine("pc", paused=True) as machine:
        machine._qemu.process.kill()
        with pytest.raises(ConnectionError, match="QEMU has ended: exit status -9"):
            machine.settle()


def test_a_qemu_that_never_answers_is_a_timeout_and_ends(tmp_path, monkeypatch):
    """It even ignores the polite request to end."""
    monkeypatch.setattr(qemu, "GRACE", 0.1)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.write(fd, b'OK\\n')\ntime.sleep(60)"
    with pytest.raises(TimeoutError, match="did not answer"):
        QtestMachine(qemu=program(tmp_path, ignore), timeout=1.0)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_qemu_that_hangs_up_and_stays_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(qemu, "GRACE", 0.1)
    hang_up = "os.close(fd)\nos.write(2, b'why: I do not know\\n')\ntime.sleep(60)"
    with pytest.raises(ConnectionError, match="still running: why: I do not know"):
        QtestMachine(qemu=program(tmp_path, hang_up))
    assert gone(int((tmp_path / "pid").read_text()))


@needs_qemu
def test_an_interrupted_conversation_is_over(monkeypatch):
    """Ctrl-C between a command and its reply: the next reply would answer the wrong one."""
    with QtestMachine("pc", paused=True) as machine:

        def interrupted(lines):
            raise KeyboardInterrupt

        monkeypatch.setattr(machine._qtest, "commands", interrupted)
        with pytest.raises(KeyboardInterrupt):
            machine.inp(LSR)
        assert repr(machine) == "QtestMachine('pc', closed)"
