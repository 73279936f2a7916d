"""The EEPROM: 64 words of 16 bits that say what card this is.

Software reads it in two ways. `EERD` takes an address and gives a word. `EECD` is the four wires of
a 93C46: chip select, clock, data in, data out. A read on the wires is a start bit, the code of the
command, six bits of address; then sixteen bits come out, and after them the next word's.

    CS  __/                                                         high all the time
    DI     1   1 0   a5 a4 a3 a2 a1 a0                              start, READ, address
    DO                                  0  d15 d14 ... d0  d15 ...  a dummy bit, then the words

The rule that keeps it simple: bits go in when SK rises, and come out when it falls.

Source: 8254x SDM 5.3, 5.6, 13.4.3, 13.4.4; the 93C46's data sheet. The words are those of QEMU 7.2
(hw/net/e1000.c). Left out: writing. The command to enable it is ignored, so the card is protected.
"""

from __future__ import annotations

from virtlab.devices.e1000.registers import General

WORDS = 64
CHECKSUM_WORD, CHECKSUM = 0x3F, 0xBABA
"""Where the checksum word is, and what all words add up to (5.6.35)."""

DEVICE_ID = 0x100E

READ = 0b110
"""Start bit and code of the read command."""

COMMAND_BITS = 9

_TEMPLATE = """
0000 0000 0000 0000 ffff 0000 0000 0000 3000 1000 6403 100e 8086 100e 8086 3040
0008 2000 7e14 0048 1000 00d8 0000 2700 6cc9 3150 0722 040b 0984 0000 c000 0706
1008 0000 0f04 7fff 4d01 ffff ffff ffff ffff ffff ffff ffff ffff ffff ffff ffff
0100 4000 121c ffff ffff ffff ffff ffff ffff ffff ffff ffff ffff ffff ffff 0000
"""


def image(mac: bytes) -> list[int]:
    """The words of a card with the address `mac` (6 bytes), checksum included."""
    if len(mac) != 6:
        raise ValueError(f"an Ethernet address has 6 bytes, not {len(mac)}")
    words = [int(word, 16) for word in _TEMPLATE.split()]
    words[:3] = [int.from_bytes(mac[at : at + 2], "little") for at in (0, 2, 4)]
    words[CHECKSUM_WORD] = (CHECKSUM - sum(words)) & 0xFFFF
    return words


class Eeprom:
    """The words, and the state of the four wires."""

    def __init__(self, words: list[int]) -> None:
        self.words = words
        self.reset()

    def reset(self) -> None:
        """No command on the wires."""
        self.pins = 0
        self._select()

    def _select(self) -> None:
        """Chip select rose: a command begins."""
        self.shifted = self.clocks = 0
        self.out: int | None = None

    def drive(self, pins: int) -> None:
        """Software sets SK, CS and DI, as bits of `EECD`."""
        before, self.pins = self.pins, pins
        eecd = General.EECD
        if not eecd.CS.get(pins):
            return
        if not eecd.CS.get(before):
            self._select()
        if eecd.SK.get(pins) and not eecd.SK.get(before):
            self._clock_in(eecd.DI.get(pins))
        elif eecd.SK.get(before) and not eecd.SK.get(pins) and self.out is not None:
            self.out = (self.out + 1) % (16 * WORDS)

    def _clock_in(self, bit: int) -> None:
        self.clocks += 1
        if self.clocks > COMMAND_BITS:
            return
        self.shifted = self.shifted << 1 | bit
        if self.clocks == COMMAND_BITS and self.shifted >> 6 == READ:
            self.out = 16 * (self.shifted & 0x3F) - 1

    @property
    def data_out(self) -> int:
        """The DO wire: pulled up while nothing comes out; the dummy bit before a word is 0."""
        if self.out is None:
            return 1
        return 0 if self._dummy else self.words[self.out // 16] >> (15 - self.out % 16) & 1

    @property
    def _dummy(self) -> bool:
        return self.clocks == COMMAND_BITS and bool(General.EECD.SK.get(self.pins))
