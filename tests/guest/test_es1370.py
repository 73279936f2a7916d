"""The ES1370's driver: the same on the bare machine and in a virtual machine. QEMU: in oracles/."""

import random

import pytest

from virtlab.backends.speaker import Format
from virtlab.clock import SECOND
from virtlab.devices.es1370 import ADC, DAC1, DAC2, Es1370Registers
from virtlab.guest.es1370 import Es1370Driver, divider_of
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.machine import lesson_pc, lesson_vm

BUFFER = 0x10_8000
WORLDS = {"bare": lesson_pc, "ept": lesson_vm, "shadow": lambda: lesson_vm(paging="shadow")}


class World:
    """The lesson PC, or a VM on it, and its card, found and given ports by the enumeration."""

    def __init__(self, name):
        devices = WORLDS[name]()
        self.function = devices.cards.es1370
        self.clock, self.cpu, self.speaker = devices.clock, devices.cpu, self.function.speaker
        self.found = find(enumerate_pci(self.cpu), 0x1274, 0x5000)
        self.base = self.found.bar(0)

    def driver(self, voice=DAC2, interrupts=True):
        if not interrupts:
            return Es1370Driver(self.cpu, self.base, voice)
        pics = Pics(self.cpu)
        pics.remap()
        pics.unmask(self.found.line)
        return Es1370Driver(self.cpu, self.base, voice, pics, self.found.line)


@pytest.fixture(params=list(WORLDS))
def world(request):
    return World(request.param)


@pytest.fixture
def bare():
    return World("bare")


def noise(length):
    return random.Random(length).randbytes(length)


def heard(world):
    return b"".join(piece.data for piece in world.speaker.pieces)


def test_it_finds_the_card(world):
    assert world.driver().detect()


def test_it_finds_nothing_where_nothing_is(bare):
    assert not Es1370Driver(bare.cpu, 0x9000).detect()


@pytest.mark.parametrize("interrupts", [True, False], ids=["interrupts", "polling"])
def test_every_sample_is_played_once_and_in_order(world, interrupts):
    samples = noise(9 * 4096 + 1000)
    driver = world.driver(interrupts=interrupts)
    assert driver.play(samples, BUFFER, half=4096) == 10
    played = heard(world)
    assert played[: len(samples)] == samples
    assert not any(played[len(samples) : 10 * 4096])


def test_it_takes_as_long_as_it_sounds(bare):
    driver, before = bare.driver(), bare.clock.now
    driver.play(noise(44100 * 4), BUFFER, half=44100)
    assert bare.clock.now - before == pytest.approx(SECOND, rel=0.001)


@pytest.mark.parametrize("format", [Format(8, 1), Format(8, 2), Format(16, 1), Format(16, 2)])
@pytest.mark.parametrize(("voice", "rate"), [(DAC1, 5512), (DAC1, 11025), (DAC2, 8000)])
def test_formats_and_rates(bare, format, voice, rate):
    samples = noise(3 * 512)
    bare.driver(voice).play(samples, BUFFER, rate, format, half=512)
    piece = bare.speaker.pieces[0]
    assert (piece.voice, piece.format) == (voice.name, format)
    assert piece.rate == pytest.approx(rate, rel=0.01)
    assert heard(bare)[: len(samples)] == samples


def test_nothing_to_play_is_no_sound_and_no_interrupt(bare):
    assert bare.driver().play(b"", BUFFER) == 0
    assert heard(bare) == b""


def test_after_the_last_sample_the_card_rests(bare):
    bare.driver().play(noise(1000), BUFFER, half=1000)
    length = len(heard(bare))
    bare.clock.advance(SECOND)
    assert len(heard(bare)) == length
    assert not bare.function.irq.level


def test_stop_acknowledges_what_is_pending(bare):
    driver = bare.driver()
    driver.prepare(BUFFER, 44100, Format(16, 2), 4096)
    driver.start()
    bare.clock.advance(SECOND)
    assert bare.function.irq.level
    driver.stop()
    assert not bare.function.irq.level


def test_it_plays_whatever_was_set_before(bare):
    driver = bare.driver()
    driver.put(Es1370Registers.SERIAL, DAC2.stop_mode.mask | DAC2.pause.mask)
    driver.play(noise(3 * 512), BUFFER, half=512)
    assert heard(bare)[: 3 * 512] == noise(3 * 512)


def test_the_other_voice_is_left_alone(bare):
    other = bare.driver(DAC1)
    other.prepare(BUFFER + 0x4000, 5512, Format(8, 1), 4096)
    other.start()
    bare.driver(DAC2, interrupts=False).play(noise(1000), BUFFER, half=1000)
    serial = Es1370Registers.SERIAL.decode(other.get(Es1370Registers.SERIAL))
    assert (serial["DAC1_INTERRUPT"], serial["DAC1_FORMAT"]) == (1, 0)
    assert bare.function.es1370.channels[0].running


def test_pause_and_go_on(bare):
    driver = bare.driver()
    driver.prepare(BUFFER, 44100, Format(16, 2), 4096)
    driver.start()
    driver.pause()
    bare.clock.advance(SECOND)
    assert not bare.function.es1370.channels[1].running
    assert heard(bare) == b""
    driver.pause(False)
    driver.sleep()
    assert len(heard(bare)) == 4096


def test_an_interrupt_of_another_card_is_ended_and_looked_past(bare, monkeypatch):
    """The line is shared. The other card's interrupt comes first, and its driver has served it."""
    driver = bare.driver()
    driver.prepare(BUFFER, 44100, Format(16, 2), 4096)
    driver.start()
    come = iter([bare.found.line, None])
    really, ended = driver.pics.next_irq, []
    monkeypatch.setattr(
        driver.pics, "next_irq", lambda timeout: next(come, None) or really(timeout)
    )
    monkeypatch.setattr(driver.pics, "eoi", ended.append)
    driver.sleep()
    assert len(heard(bare)) == 4096
    assert ended == [bare.found.line, bare.found.line]


def test_a_card_that_does_not_interrupt_is_given_up(bare, monkeypatch):
    monkeypatch.setattr("virtlab.guest.es1370.NAPS", 50)
    with pytest.raises(TimeoutError, match="DAC2 did not interrupt"):
        bare.driver().sleep()


# -- what it cannot do


def test_rates_that_the_clocks_do_not_have(bare):
    with pytest.raises(ValueError, match="DAC1 has"):
        bare.driver(DAC1).set_rate(48000)
    for rate in (0, -1, 100, 2_000_000):
        with pytest.raises(ValueError, match="no divider"):
            bare.driver(DAC2).set_rate(rate)
    assert bare.driver(DAC2).set_rate(48000) == 48662
    assert bare.driver(DAC1).set_rate(22050) == 22050


def test_the_nearest_divider():
    assert [divider_of(rate) for rate in (44100, 22050, 11025)] == [30, 62, 126]


@pytest.mark.parametrize(
    ("gpa", "format", "half", "why"),
    [
        (BUFFER, Format(16, 2), 0, "longwords"),
        (BUFFER, Format(16, 2), 6, "longwords"),
        (BUFFER, Format(16, 2), (1 << 17) + 4, "longwords"),
        (BUFFER, Format(8, 1), 1 << 17, "counts 65536 samples"),
        (-4, Format(16, 2), 4, "32 bits"),
        ((1 << 32) - 4, Format(16, 2), 4, "32 bits"),
    ],
)
def test_buffers_that_the_counters_do_not_hold(bare, gpa, format, half, why):
    with pytest.raises(ValueError, match=why):
        bare.driver().play(b"x", gpa, 44100, format, half)


def test_the_adc_plays_nothing(bare):
    with pytest.raises(ValueError, match="not on ADC"):
        Es1370Driver(bare.cpu, bare.base, ADC)
