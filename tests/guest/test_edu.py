"""The driver of the teaching device, on our boards, in a VM, and on QEMU."""

import pytest

from tests.needs import require
from virtlab import machine
from virtlab.devices.edu import BUFFER_BYTES, DMA_MASK, EduRegisters
from virtlab.guest.edu import EduDriver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.hosts.remote import QtestMachine

EDU = 0x1234, 0x11E8
DATA = bytes(range(256)) * 4


def ours(make, **how):
    board = make(**how)
    return board.cpu, lambda: None


def qemu():
    require("QEMU")
    remote = QtestMachine("q35", ["-nodefaults", "-device", "edu,addr=3"])
    return remote, remote.close


WORLDS = {
    "conventional": lambda: ours(machine.lesson_pc),
    "express": lambda: ours(machine.lesson_pc, pci="express"),
    "vm": lambda: ours(machine.lesson_vm),
    "qemu": qemu,
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.oracle] if name == "qemu" else []) for name in WORLDS
    ]
)
def edu(request):
    """The driver of the first card, with its interrupt let through."""
    cpu, close = WORLDS[request.param]()
    card = find(enumerate_pci(cpu), *EDU)
    pics = Pics(cpu)
    pics.remap()
    pics.unmask(card.line)
    driver = EduDriver(cpu, card.bar(0))
    driver.pics, driver.irq = pics, card.line
    yield driver
    close()


def served(driver, work):
    """Do `work`, which sleeps for one interrupt, and end that interrupt."""
    result = work()
    driver.pics.eoi(driver.irq)
    return result


def test_it_is_found_and_alive(edu):
    assert edu.detect()
    assert edu.alive(0)


def test_a_factorial_by_polling_and_asleep(edu):
    assert edu.factorial(5) == 120
    assert served(edu, lambda: edu.factorial(6, interrupt=True)) == 720


def test_bytes_go_there_and_back(edu):
    edu.cpu.write(0x9000, DATA)
    edu.to_device(0x9000, len(DATA))
    served(edu, lambda: edu.from_device(0xA000, 100, at=28, interrupt=True))
    assert edu.cpu.read(0xA000, 101) == DATA[28:128] + b"\0"


def test_it_interrupts_for_whatever_one_likes(edu):
    edu.raise_interrupt(0x30)
    assert served(edu, edu.sleep) == 0x30
    assert edu.get(EduRegisters.INTERRUPT_STATUS) == 0


# -- what goes wrong


class Stuck:
    """A card that is always busy, and never interrupts."""

    def __init__(self, answer):
        self.answer = answer
        self.stores = 0

    def load(self, gpa, size=4):
        return self.answer

    def store(self, gpa, value, size=4):
        self.stores += 1

    def wait(self, timeout=0):
        return None


def test_a_card_that_stays_busy_is_given_up(monkeypatch):
    monkeypatch.setattr("virtlab.guest.edu.POLLS", 50)
    with pytest.raises(TimeoutError, match="STATUS stayed 0x1 for 50 reads"):
        EduDriver(Stuck(1), 0).factorial(3)


def test_an_interrupt_that_does_not_come():
    with pytest.raises(TimeoutError, match="did not interrupt"):
        EduDriver(Stuck(0), 0).sleep()


def test_somebody_else_is_not_taken_for_it():
    assert not EduDriver(Stuck(0xFFFF_FFFF), 0).detect()
    assert not EduDriver(Stuck(0x0100_00ED), 0).detect()


@pytest.mark.parametrize(
    ("gpa", "length", "at", "why"),
    [
        (0, BUFFER_BYTES, 1, "its buffer has 4096 bytes"),
        (0, 1, -1, "its buffer has 4096 bytes"),
        (0, -1, 0, "its buffer has 4096 bytes"),
        (DMA_MASK, 2, 0, "it reaches the first 0x10000000 bytes only"),
    ],
)
def test_a_transfer_that_it_cannot_make_is_not_begun(gpa, length, at, why):
    for way in ("to_device", "from_device"):
        cpu = Stuck(0)
        with pytest.raises(ValueError, match=why):
            getattr(EduDriver(cpu, 0), way)(gpa, length, at)
        assert cpu.stores == 0


def test_how_far_it_reaches_is_what_the_driver_was_told():
    """QEMU's option dma_mask: the driver has to know it."""
    cpu = Stuck(0)
    EduDriver(cpu, 0, dma_mask=0xFFFF_FFFF).from_device(DMA_MASK + 1, 4)
    assert cpu.stores == 4
    with pytest.raises(ValueError, match="it reaches the first 0x1000 bytes only"):
        EduDriver(cpu, 0, dma_mask=0xFFF).from_device(0xFFE, 4)
