"""The display's driver, on the bare machine and in a virtual machine. QEMU: in oracles/."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.backends.screen import COLOURS
from virtlab.devices.display import BochsDisplayFunction, DispiRegisters
from virtlab.guest.display import DisplayDriver, encode
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.machine import lesson_pc, lesson_vm

SLOT = 0x1A
VRAM = 128 << 10
WORLDS = {"bare": lesson_pc, "ept": lesson_vm, "shadow": lambda: lesson_vm(paging="shadow")}


class World:
    """The lesson PC, or a VM on it, with a small display in `SLOT`."""

    def __init__(self, name):
        devices = WORLDS[name]()
        self.function = devices.cards.root.bus.plug(BochsDisplayFunction(VRAM), SLOT)
        functions = enumerate_pci(devices.cpu)
        found = next(each for each in functions if each.place.device == SLOT)
        self.cpu, self.screen = devices.cpu, self.function.screen
        self.driver = DisplayDriver(devices.cpu, found.bar(0), found.bar(2))


@pytest.fixture(params=list(WORLDS))
def world(request):
    return World(request.param)


@pytest.fixture
def bare():
    return World("bare")


def test_it_finds_the_display(world):
    assert world.driver.detect()
    assert world.driver.memory_bytes() == VRAM


def test_it_finds_nothing_where_nothing_is(bare):
    assert not DisplayDriver(bare.cpu, 0xD000_0000, 0xD100_0000).detect()


@pytest.mark.parametrize("bits", [16, 32])
def test_a_rectangle_is_where_it_was_asked_for(world, bits):
    world.driver.set_mode(80, 64, bits)
    world.driver.fill(10, 20, 3, 2, (255, 0, 255))
    expected = np.zeros((64, 80, 3), np.uint8)
    expected[20:22, 10:13] = (255, 0, 255)
    assert (world.screen.pixels() == expected).all()


def test_an_image_comes_out_as_it_went_in(bare):
    image = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    bare.driver.set_mode(64, 64, virtual_width=90)
    bare.driver.blit(79, 50, image)
    bare.driver.pan(26, 0)
    assert (bare.screen.pixels()[50:59, 53:64] == image).all()


def test_panning_moves_no_pixel(bare):
    bare.driver.set_mode(64, 64, virtual_width=128)
    bare.driver.fill(70, 80, 1, 1, (1, 2, 3))
    before = bare.function.display.vram.bytes.copy()
    bare.driver.pan(64, 64)
    assert bare.screen.pixels()[16, 6].tolist() == [1, 2, 3]
    assert (bare.function.display.vram.bytes == before).all()


def test_a_new_mode_begins_at_the_first_pixel_and_keeps_the_memory(bare):
    bare.driver.set_mode(64, 64, virtual_width=100)
    bare.driver.fill(0, 0, 1, 1, (9, 9, 9))
    bare.driver.pan(5, 5)
    mode = bare.driver.set_mode(64, 65)
    assert bare.screen.pixels()[0, 0].tolist() == [9, 9, 9]
    assert bare.screen.mode == mode
    assert mode.stride == 4 * 64


def test_off_is_no_signal(bare):
    bare.driver.set_mode(64, 64)
    bare.driver.off()
    assert bare.screen.pixels() is None


def test_registers_change_only_while_it_is_off(bare):
    """A VGA ignores XRES, YRES and BPP while ENABLE is set."""
    enabled, orders = DispiRegisters.ENABLE, []
    put = bare.driver.put
    bare.driver.put = lambda reg, value: (orders.append((reg.name, value)), put(reg, value))
    bare.driver.set_mode(64, 64)
    names = [name for name, _ in orders]
    assert orders[0] == ("ENABLE", 0)
    assert names.index("BPP") < names.index("ENABLE", 1) < names.index("VIRT_WIDTH")
    assert enabled.decode(dict(orders)["ENABLE"])["KEEP_MEMORY"] == 1


# -- what it cannot do


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ((64, 64, 24), "16 or 32 bits"),
        ((63, 64), "64 to 65535 pixels each way, not 63"),
        ((64, 63), "64 to 65535 pixels"),
        ((64, 1 << 16), "64 to 65535 pixels"),
        ((64, 64, 32, 1 << 16), "64 to 65535 pixels"),
        ((256, 129), "are more than its 131072"),
    ],
)
def test_modes_that_it_does_not_have(bare, size, why):
    with pytest.raises(ValueError, match=why):
        bare.driver.set_mode(*size)


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (62, 0), (0, 510)])
def test_drawing_outside(bare, corner):
    bare.driver.set_mode(64, 64)
    with pytest.raises(ValueError, match="64 by 512 pixels"):
        bare.driver.fill(*corner, 3, 3, (0, 0, 0))
    bare.driver.fill(61, 509, 3, 3, (0, 0, 0))


@pytest.mark.parametrize("colour", [(0, 0, 256), (-1, 0, 0), (0, 0)])
def test_colours_that_are_none(bare, colour):
    bare.driver.set_mode(64, 64)
    with pytest.raises(ValueError, match="three numbers from 0 to 255"):
        bare.driver.fill(0, 0, 1, 1, colour)


@pytest.mark.parametrize("image", [np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8)])
def test_images_that_are_none(bare, image):
    bare.driver.set_mode(64, 64)
    with pytest.raises(ValueError, match=r"height, width, 3. uint8"):
        bare.driver.blit(0, 0, image)


def test_drawing_without_a_mode(bare):
    with pytest.raises(ValueError, match="leave 0 by 0 pixels"):
        bare.driver.fill(0, 0, 1, 1, (0, 0, 0))


@given(
    st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=8),
    st.sampled_from(sorted(COLOURS)),
)
def test_a_pixel_keeps_the_upper_bits_of_each_colour(line, bits):
    (data,) = encode(np.array([line], np.uint8), bits)
    for number, colour in enumerate(line):
        word = int.from_bytes(data[number * bits // 8 : (number + 1) * bits // 8], "little")
        for field, value in zip(COLOURS[bits], colour, strict=True):
            assert field.get(word) == value >> 8 - field.width
