"""``virtlab linux``: what it says, how it ends, and a terminal that is as before."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.hosts.linux_stand_in import IMAGE, gone, stand_in, words_of
from tests.hosts.test_linux_find import install
from virtlab.course import cli, linux_command
from virtlab.hosts import linux

COMMAND = next(each for each in cli.COMMANDS if each.name == "linux")

SCRIPTED = r"""
tell("\x1eready\n")
say("one\r\ntwo\r\n")
tell("\x1estatus 0\n")
"""


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    """Lets the command take a stand-in for QEMU, and for what it boots."""

    def take(body):
        path = stand_in(tmp_path, body)
        monkeypatch.setattr(linux, "find_qemu", lambda: path)
        monkeypatch.setattr(linux_command, "image_of", lambda options: IMAGE)

    return take


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "check.sh"
    path.write_text("true\n")
    return path


def run(*words):
    return cli.run(COMMAND, [str(word) for word in words])


def test_a_script_that_succeeds_is_status_0_and_its_console_is_our_output(
    qemu, script, capfdbinary
):
    qemu(SCRIPTED)
    assert run("--run", script) == 0
    assert capfdbinary.readouterr() == (b"one\ntwo\n", b"")


def test_a_script_that_fails_is_status_1(qemu, script, capfd):
    qemu(SCRIPTED.replace("status 0", "status 4"))
    assert run("--run", script) == 1
    out, err = capfd.readouterr()
    assert (out, err) == ("one\ntwo\n", "virtlab linux: the script ended with status 4\n")


def test_a_script_may_be_standard_input(qemu, capfd, monkeypatch):
    qemu(
        "data = open(sys.argv[sys.argv.index('-initrd') + 1], 'rb').read()\n"
        "assert data.startswith(b'an archive') and b'uname -r' in data\n" + SCRIPTED
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"uname -r\n")))
    assert run() == 0
    assert capfd.readouterr().out == "one\ntwo\n"


def test_a_script_is_text(qemu, script, capfd, monkeypatch):
    qemu(SCRIPTED)
    script.write_bytes(b"echo \xff")
    assert run("--run", script) == 1
    assert capfd.readouterr().err == (
        f"virtlab linux: {script}: byte 5: a script is text in UTF-8, and this is not\n"
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert run() == 1
    assert "standard input: byte 0: " in capfd.readouterr().err


def test_an_end_before_the_script_ended_is_one_line(qemu, script, capfd):
    qemu("sys.exit('no room')")
    assert run("--run", script) == 1
    assert capfd.readouterr().err == (
        "virtlab linux: Linux ended before it was ready (exit status 1: no room)\n"
    )


@pytest.mark.parametrize("ready", [r"tell('\x1eready\n')", ""])
def test_a_script_has_a_time(qemu, script, capfd, ready):
    qemu(f"{ready}\ntime.sleep(60)")
    assert run("--run", script, "--timeout", "0.5") == 1
    assert capfd.readouterr().err == (
        "virtlab linux: the script has not ended in 0.5 s (--timeout)\n"
    )


def test_the_devices_are_those_that_are_named(qemu, script, tmp_path):
    qemu(SCRIPTED)
    files = [tmp_path / name for name in ("a.img", "b,img", "blk.sock", "net.sock")]
    for file in files:
        file.touch()
    options = ("--disk", files[0], "--disk", files[1], "--net", files[3])
    options += ("--blk", f"{files[2]},packed=on,num-queues=2")
    assert run("--run", script, "--memory", 200, *options, "--", "-device", "edu") == 0
    words = words_of(tmp_path)
    assert words[words.index("-m") + 1] == "200M"
    assert [words[at + 1] for at, word in enumerate(words) if word == "-device"] == [
        "virtio-blk-pci,drive=disk0",
        "virtio-blk-pci,drive=disk1",
        "vhost-user-blk-pci,chardev=blk0,packed=on,num-queues=2",
        "virtio-net-pci,netdev=net0-end,vectors=0",
        "edu",
    ]


@pytest.mark.parametrize("option", ["--disk", "--blk", "--net", "--run"])
def test_what_is_not_there_is_named(qemu, option, capfd):
    qemu(SCRIPTED)
    assert run(option, "/nowhere/x") == 1
    assert capfd.readouterr() == ("", "virtlab linux: /nowhere/x: No such file or directory\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--memory", "127"], "'127' is no size in MiB"),
        (["--memory", "x"], "'x' is no size in MiB"),
        (["--memory", "9" * 5000], "no size in MiB"),
        (["--memory", "1048577"], "no size in MiB"),
        (["--timeout", "0"], "'0' is no number of seconds"),
        (["--timeout", "nan"], "'nan' is no number of seconds"),
        (["--timeout", "x"], "'x' is no number of seconds"),
        (["--bogus"], "bogus"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(words, said, capfd):
    assert run(*words) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("virtlab linux: ")
    assert said in err


def test_the_help_has_an_example_that_is_right(capfd):
    assert run("--help") == 0
    assert f"example: {COMMAND.example}" in capfd.readouterr().out
    cli.parser_for(COMMAND).parse_args(COMMAND.example.split()[2:])


def image_of(*words):
    return linux_command.image_of(cli.parser_for(COMMAND).parse_args([str(word) for word in words]))


def test_what_is_booted_is_what_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(linux_command, "linux_image", lambda *arguments: arguments)
    kernel = install(tmp_path / "root", "6.1")
    install(tmp_path / "root", "6.2")
    found, modules, programs = image_of(
        "--root", tmp_path / "root", "--module", "e1000", "--module", "nvme", "--program", "fio"
    )
    assert (modules, programs) == (["e1000", "nvme"], ["fio"])
    assert found.kernel.name == "vmlinuz-6.2"
    assert image_of("--kernel", kernel)[0].kernel == kernel


def test_an_initrd_of_another_make_needs_no_modules(tmp_path):
    kernel = install(tmp_path, "6.1", modules=None)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"theirs")
    image = image_of("--kernel", kernel, "--initrd", initrd)
    assert image == (kernel, b"theirs", False)
    install(tmp_path / "root", "6.2")
    assert image_of("--initrd", initrd, "--root", tmp_path / "root").kernel.name == "vmlinuz-6.2"


def test_with_an_initrd_of_another_make_the_console_is_shown_until_the_end(
    qemu, tmp_path, monkeypatch, capfd
):
    qemu("say('theirs\\r\\n')")
    monkeypatch.setattr(linux_command, "image_of", lambda options: IMAGE._replace(ours=False))
    assert run("--initrd", "x") == 0
    assert capfd.readouterr().out == "theirs\n"
    script = tmp_path / "s"
    script.touch()
    assert run("--initrd", "x", "--run", script) == 1
    assert "leave out --initrd" in capfd.readouterr().err


MAIN = """
import sys
from pathlib import Path
from tests.hosts import test_linux_command as test
from virtlab.course import linux_command
from virtlab.hosts import linux
linux.find_qemu = lambda: sys.argv[1]
linux_command.image_of = lambda options: test.IMAGE._replace(kernel=Path(sys.argv[2]))
sys.exit(test.run(*sys.argv[3:]))
"""

ECHO = r"""
tell("\x1eready\n")
say("linux# ")
while (keys := console.recv(100)) != b"exit\r":
    say(f"<{keys.hex()}>")
say("\r\nbye\r\n")
"""
"""A guest that shows what is typed, until that is `exit`."""


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, tmp_path, body):
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        kernel = install(tmp_path, "6.1", modules=None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, stand_in(tmp_path, body), str(kernel)],
            cwd=Path(__file__).parents[2],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.theirs = theirs
        self.seen = b""

    def expect(self, text):
        while text not in self.seen:
            self.seen += os.read(self.ours, 1000)
        self.seen = self.seen.partition(text)[2]

    def type(self, keys):
        os.write(self.ours, keys)

    def end(self):
        """Its exit status and errors. The terminal is as it was."""
        _, errors = self.process.communicate(timeout=30)
        assert termios.tcgetattr(self.theirs) == self.before
        return self.process.returncode, errors.decode()

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal_of(tmp_path):
    made = []

    def make(body):
        made.append(Terminal(tmp_path, body))
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()


def test_every_key_goes_to_the_guest_until_it_ends(terminal_of):
    terminal = terminal_of(ECHO)
    terminal.expect(b"Linux 6.1 boots; Ctrl-] ends it.")
    terminal.expect(b"linux# ")
    terminal.type(b"\x03")
    terminal.expect(b"<03>")
    terminal.type("ä".encode())
    terminal.expect(b"<c3a4>")
    terminal.type(b"exit\r")
    terminal.expect(b"bye\r\n")
    assert terminal.end() == (0, "")


def test_a_key_ends_the_machine(terminal_of, tmp_path):
    terminal = terminal_of(ECHO)
    terminal.expect(b"linux# ")
    terminal.type(b"\x1d")
    assert terminal.end() == (0, "")
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_request_to_end_ends_the_machine(terminal_of, tmp_path):
    terminal = terminal_of(ECHO)
    terminal.expect(b"linux# ")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == (1, "\n")
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_guest_that_does_not_boot_is_one_line(terminal_of):
    terminal = terminal_of("sys.exit(1)")
    assert terminal.end() == (
        1,
        "virtlab linux: Linux ended before it was ready (exit status 1)\n",
    )


def test_a_key_for_a_guest_that_has_ended_is_lost(qemu, tmp_path):
    guest = linux.LinuxGuest(image=IMAGE, qemu=stand_in(tmp_path, ""))
    with guest:
        while not guest.over:
            guest.listen(0.2)
        assert linux_command.press(guest, b"x")
        assert not linux_command.press(guest, b"")
        assert not linux_command.press(guest, b"a\x1d")
