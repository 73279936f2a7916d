"""``virtlab serve pci``: a whole card of ours at a socket, for a client of vfio-user."""

from __future__ import annotations

import random

import pytest

from tests.course.serve_command import run, run_with
from tests.hosts.vfio_user.world import ROOM, Machine, connect
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.edu import EduDriver
from virtlab.guest.room import Room
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.hosts.vfio_user.client import Client
from virtlab.hosts.vfio_user.messages import Refused


@pytest.fixture
def path(tmp_path):
    return tmp_path / "card.sock"


def with_machine(path, work):
    """A client that is a machine: what `work` gives with it."""

    def client():
        machine = Machine(path)
        try:
            return work(machine)
        finally:
            machine.close()

    return client


def test_edu(monkeypatch, path):
    def work(machine):
        return EduDriver(machine.cpu, machine.found.bar(0)).factorial(5)

    client = with_machine(path, work)
    status, answer, lines = run_with(monkeypatch, client, "pci", "edu", "--socket", path)
    assert (status, answer) == (0, 120)
    assert f"{path}: a PCI card, edu" in lines
    assert lines[-1] == f"{path}: 1 sessions, 0 commands refused"
    assert not path.exists()


def test_a_disk(monkeypatch, path, tmp_path):
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 16))
    data = random.Random(1).randbytes(4096)

    def work(machine):
        transport = ModernPci(machine.cpu, machine.access, machine.found)
        driver = BlkDriver(machine.cpu, transport, Room(*ROOM))
        driver.start()
        driver.write(3, data)

    run_with(monkeypatch, with_machine(path, work), "pci", "blk", image, "--socket", path)
    assert image.read_bytes()[3 * 512 :][:4096] == data


def test_a_network_card(monkeypatch, path):
    def work(machine):
        return E1000Driver(machine.cpu, machine.found.bar(0), ROOM[0]).mac().hex(":")

    mac = "02:00:00:00:00:07"
    words = ("pci", "e1000", "--socket", path, "--mac", mac)
    assert run_with(monkeypatch, with_machine(path, work), *words)[1] == mac


def test_what_a_client_does_wrong_is_said_once(monkeypatch, path):
    def client():
        for _ in range(2):
            there = Client(connect(path))
            for _ in range(2):
                with pytest.raises(Refused):
                    there.read(9, 0, 1)
            there.wire.sock.send(b"GET / HTTP/1.1\r\n")
            there.wire.sock.recv(1)
            there.close()

    _, _, lines = run_with(monkeypatch, client, "pci", "edu", "--socket", path)
    assert sum("(said once)" in line for line in lines) == 1
    assert sum("the client was hung up on" in line for line in lines) == 2
    assert lines[-1] == f"{path}: 2 sessions, 4 commands refused"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("blk", "--socket", "s"), "blk needs an IMAGE"),
        (("edu", "disk.img", "--socket", "s"), "edu has no image"),
        (("ne2000", "--socket", "s"), "invalid choice"),
    ],
)
def test_a_wrong_command_line(capfd, words, why):
    assert run("pci", *words) == 2
    assert why in capfd.readouterr().err
