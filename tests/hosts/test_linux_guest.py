"""A Linux as a guest, with a stand-in for QEMU: what it is told, what it says, how it ends."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from tests.hosts.linux_stand_in import IMAGE, SHELL, gone, stand_in, words_of
from virtlab.hosts import linux
from virtlab.hosts.linux import LONGEST, LinuxGuest, Ran


@pytest.fixture
def guest_of(tmp_path):
    """Makes a guest whose QEMU does what is given."""
    made = []

    def make(body, *devices, script=None, **options):
        options.setdefault("image", IMAGE)
        made.append(LinuxGuest(devices, script, qemu=stand_in(tmp_path, body), **options))
        return made[-1]

    yield make
    for guest in made:
        guest.close()


def test_a_command_is_run_and_its_status_and_text_come_back(guest_of):
    with guest_of(SHELL) as guest:
        assert guest.run("ls") == Ran(2, "did ls")
        assert guest.run("two\nlines ä") == Ran(11, "did two\nlines ä")
        assert guest.text == "linux# "
        guest.power_off()
        assert guest.over
        assert guest.text == "linux# \nPower down\n"


def test_qemu_is_given_the_machine_the_kernel_and_the_devices(guest_of, tmp_path):
    body = (
        "import shutil\n"
        "shutil.copy(sys.argv[sys.argv.index('-initrd') + 1], os.path.join(here, 'initrd'))\n"
        + SHELL
    )
    with guest_of(body, "-device", "edu", memory_mib=256, processors=1, append="debug") as guest:
        guest.boot()
    words = words_of(tmp_path)
    assert words[-2:] == ["-device", "edu"]
    assert "-bios" not in words
    assert words[words.index("-kernel") + 1] == "vmlinuz"
    assert words[words.index("-append") + 1].endswith(" debug")
    assert words[words.index("-m") + 1] == "256M"
    assert words[words.index("-smp") + 1] == "1"
    assert (tmp_path / "initrd").read_bytes() == b"an archive"
    assert not Path(words[words.index("-initrd") + 1]).exists()


SCRIPTED = r"""
with open(sys.argv[sys.argv.index("-initrd") + 1], "rb") as initrd:
    assert b"virtlab/script" in initrd.read()
tell("\x1eready\n")
say("one\r\n")
tell("\x1estatus 7\n")
say("two\r\n")
"""


def test_a_script_goes_behind_the_archive_and_its_status_comes_back(guest_of):
    with guest_of(SCRIPTED, script="exit 7") as guest:
        assert guest.wait() == 7
        assert guest.text == "one\ntwo\n"
        assert repr(guest) == "LinuxGuest(over)"


def test_power_off_waits_for_a_script_to_end(guest_of):
    with guest_of(SCRIPTED, script="exit 7") as guest:
        guest.power_off()
        assert guest.text == "one\ntwo\n"


def test_the_console_takes_keys_and_is_waited_for(guest_of):
    body = r"""
say("login: ")
name = console.recv(100).decode()
say(f"hello {name}login: ")
assert console.recv(100) == b"\x04\xff"
say("bye")
"""
    with guest_of(body) as guest:
        guest.expect("login: ")
        guest.press("root\n")
        guest.expect("login: ")
        assert guest.news() == b"login: hello root\nlogin: "
        guest.press(b"\x04\xff")
        guest.expect("bye")
        assert guest.news() == b"bye"
        assert guest.news() == b""


def test_who_waits_in_his_own_way_listens(guest_of):
    read, write = os.pipe()
    with guest_of("say('a')\ntime.sleep(60)") as guest:
        while not guest.text:
            assert not guest.listen(0.2, read)
        os.write(write, b"x")
        assert guest.listen(5, read)
        assert not guest.listen(0)
        guest.close()
        assert not guest.listen(5, read)
    os.close(read)
    os.close(write)


def test_a_file_beside_is_always_ready(guest_of, tmp_path):
    """`epoll` would refuse it."""
    with guest_of("time.sleep(60)") as guest, open(os.devnull) as file:
        assert guest.listen(5, file.fileno())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(3)", r"Linux ended before it was ready \(exit status 3\)$"),
        ("sys.exit('no room')", r"\(exit status 1: no room\)$"),
        ("say('1\\r\\n2\\r\\n\\r\\n3\\r\\n4')", r"\(exit status 0\); on the console: 2 \| 3 \| 4$"),
        (
            "say('[1] Kernel panic - no\\r\\n2\\r\\n3\\r\\n4\\r\\n')",
            r"; on the console: \[1\] Kernel panic - no$",
        ),
        ("report.close(); console.close(); time.sleep(60)", r"\(still running\)$"),
    ],
)
def test_an_end_that_comes_too_early_is_told_with_the_last_words(guest_of, body, said, monkeypatch):
    monkeypatch.setattr("virtlab.hosts.qemu.GRACE", 0.3)
    guest = guest_of(body)
    with pytest.raises(ConnectionError, match=said):
        guest.boot()
    assert guest.over
    assert repr(guest) == "LinuxGuest(over)"


def test_each_wait_says_what_it_waited_for(guest_of):
    with pytest.raises(ConnectionError, match="before 'ready' was printed"):
        guest_of("").expect("ready")
    with pytest.raises(ConnectionError, match=r"before 'a{40}.*\.\.\.' was done"):
        guest_of("tell('\\x1eready\\n'); next(commands())").run("a" * 100)
    with pytest.raises(ConnectionError, match="before its script was done"):
        guest_of("tell('\\x1eready\\n')", script="").wait()


def test_a_wait_has_an_end(guest_of):
    with pytest.raises(TimeoutError, match=r"^0\.3 s went by before it was ready$"):
        guest_of("time.sleep(60)").boot(0.3)
    guest = guest_of("tell('\\x1eready\\n'); say('slow'); time.sleep(60)")
    with pytest.raises(TimeoutError, match=r"^0\.3 s .*'ls' was done; on the console: slow$"):
        guest.expect("slow") or guest.run("ls", 0.3)
    assert guest.over


@pytest.mark.parametrize(
    ("answer", "status"),
    [("0", 0), ("255", 255), ("x", 255), ("-1", 255), ("²", 255), ("1234", 255)],
)
def test_a_status_is_a_number_whatever_the_guest_says(guest_of, answer, status):
    body = (
        f"tell('\\x1eready\\n'); next(commands()); tell('\\x1estatus {answer}\\n')\ntime.sleep(60)"
    )
    assert guest_of(body).run("ls").status == status


def test_a_message_out_of_turn_ends_the_guest(guest_of, monkeypatch):
    monkeypatch.setattr("virtlab.hosts.qemu.GRACE", 0.1)
    with pytest.raises(ConnectionError, match="Linux said 'hello' before it was ready"):
        guest_of("tell('\\x1ehello\\n'); time.sleep(60)").boot()


def test_sending_to_a_guest_that_has_ended_is_told(guest_of):
    guest = guest_of("tell('\\x1eready\\n')")
    guest.boot()
    while not guest.over:
        guest.listen(0.2)
    with pytest.raises(ConnectionError, match="Linux ended: nobody is at its report"):
        guest.run("ls")


def test_a_guest_that_ends_with_keys_unread_has_ended(guest_of):
    """Then the line does not end but is reset."""
    guest = guest_of("say('up')\nreport.recv(1)")
    guest.expect("up")
    guest.press("ls\n")
    guest._send("report", b"x")
    with pytest.raises(ConnectionError, match="ended before 'down' was printed"):
        guest.expect("down")


def test_a_guest_that_is_closed_takes_nothing(guest_of):
    guest = guest_of("say('up'); time.sleep(60)")
    guest.expect("up")
    guest.close()
    with pytest.raises(ConnectionError, match=r"^Linux ended: nobody is at its console; on "):
        guest.press("ls\n")


def test_a_guest_that_takes_nothing_is_told(guest_of, monkeypatch):
    monkeypatch.setattr(linux, "ANSWER", 0.3)
    guest = guest_of("time.sleep(60)")
    with pytest.raises(TimeoutError, match="does not take what is sent to its console"):
        guest.press(bytes(10 << 20))
    assert guest.over


def test_misuse_is_told(guest_of):
    scripted = guest_of("time.sleep(60)", script="true")
    with pytest.raises(ValueError, match="takes no commands"):
        scripted.run("ls")
    shell = guest_of("time.sleep(60)")
    with pytest.raises(ValueError, match="no script to wait for"):
        shell.wait()
    with pytest.raises(ValueError, match=f"has {LONGEST} characters: make it a script"):
        shell.run("x" * LONGEST)
    other = guest_of("time.sleep(60)", image=IMAGE._replace(ours=False))
    with pytest.raises(ValueError, match="this image is not ours"):
        other.run("ls")


def test_where_qemu_is_missing_its_package_is_named(monkeypatch):
    monkeypatch.setattr(linux, "find_qemu", lambda: None)
    with pytest.raises(FileNotFoundError, match="sudo apt install qemu-system-x86"):
        LinuxGuest(image=IMAGE)


def test_without_an_image_it_boots_what_there_is(guest_of, monkeypatch, tmp_path):
    monkeypatch.setattr(linux, "linux_image", lambda: IMAGE)
    monkeypatch.setattr(linux, "find_qemu", lambda: stand_in(tmp_path, SHELL))
    with LinuxGuest() as guest:
        guest.boot()
        assert repr(guest) == "LinuxGuest(ready)"


STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('up')\ntime.sleep(60)"


def test_it_always_ends(guest_of, tmp_path, monkeypatch):
    monkeypatch.setattr("virtlab.hosts.qemu.GRACE", 0.3)
    guest = guest_of(STUBBORN)
    guest.expect("up")
    guest.close()
    guest.close()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_guest_that_is_forgotten_ends_and_leaves_no_file(tmp_path):
    guest = LinuxGuest(image=IMAGE, qemu=stand_in(tmp_path, SHELL))
    guest.boot()
    pid, initrd = int((tmp_path / "pid").read_text()), Path(guest._initrd.name)
    assert initrd.exists()
    del guest
    gc.collect()
    assert gone(pid)
    assert not initrd.exists()
