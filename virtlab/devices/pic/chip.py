"""The 8259A interrupt controller.

One 8259A has eight inputs, IR0 to IR7, and three registers of eight bits:

    IRR  requested    IMR  masked: never requests    ISR  in service: acknowledged, no EOI yet

The rules that keep it simple:

1. A request goes out (INT high) if it is not masked and has a higher priority than everything in
   service. One function, `request`, says which; everything else follows from it.
2. The processor acknowledges (INTA). The request moves from IRR to ISR, and its vector comes back.
   If the request is gone by then, the answer is IR7, and nothing is in service: a *spurious* one.
3. An EOI takes a bit out of ISR.

An edge must stay high until it is acknowledged: if the line falls before, the request is gone
("Edge and Level Triggered Modes").

Intel 8259A data sheet (231468). Left out: MCS-80 mode's CALL instruction, and the buffered mode,
which drives a pin only.
"""

from __future__ import annotations

from functools import partial

from virtlab.devices.pic.registers import ICW1, ICW2, ICW4, OCW2, OCW3
from virtlab.interrupts import IrqLine

SPURIOUS = 7
"""The input that answers when no request is left."""


class Pic8259:
    """One 8259A: a device of two ports (A0 = 0 and 1).

    `lines` are its eight inputs, `int_line` its INT output. `elcr` has a 1 for each input that is
    level triggered; LTIM makes all of them so. `imr` and `isr` are registers; `lowest` is the
    input of lowest priority. An access of more than a byte reaches the low byte only.

    With `latched`, an edge stays requested after its line has fallen, as KVM and QEMU have it. The
    data sheet says otherwise, but a pulse that takes no virtual time would never be seen.
    """

    poll: bool
    read_isr: bool
    special_mask: bool
    _edges: int

    def __init__(self, name: str = "pic", master: bool = True, *, latched: bool = False) -> None:
        self.name = name
        self.master = master
        self.latched = latched
        self.int_line = IrqLine(f"{name} INT")
        self.lines = tuple(IrqLine(f"{name} IR{n}", partial(self._changed, n)) for n in range(8))
        self._levels = 0
        self.reset()

    def reset(self) -> None:
        """Power on. A real chip wakes up undefined; this one with every register zero."""
        self.elcr = self.icw1 = self.icw2 = self.icw3 = self.icw4 = 0
        self.isr = 0
        self.rotate_on_aeoi = False
        self._due: list[str] = []
        self._initialize(0)

    # -- inputs, priorities, output

    def _changed(self, n: int, level: bool) -> None:
        """An input rose or fell. An edge outlives the line only if it is `latched`."""
        bit = 1 << n
        self._levels = self._levels & ~bit | bit * level
        if level or not self.latched or self._level_triggered & bit:
            self._edges = self._edges & ~bit | bit * level
        self._update()

    @property
    def irr(self) -> int:
        """The interrupt request register."""
        return self._edges | self._levels & self._level_triggered

    @property
    def _level_triggered(self) -> int:
        """The inputs that ask for as long as they are high, one bit each."""
        return 0xFF if ICW1.LTIM.get(self.icw1) else self.elcr

    @property
    def slaves(self) -> int:
        """The inputs that have a slave, one bit each (ICW3 of a master)."""
        return self.icw3 if self.master and not ICW1.SNGL.get(self.icw1) else 0

    def _rank(self, n: int) -> int:
        """The priority of input `n`: 0 is the highest. It starts after `lowest`."""
        return (n - self.lowest - 1) & 7

    def _highest(self, inputs: int) -> int | None:
        """The input of highest priority among the bits of `inputs`."""
        return min((n for n in range(8) if inputs >> n & 1), key=self._rank, default=None)

    def _serving(self) -> int | None:
        """The highest input in service. In special mask mode, masked ones do not count."""
        return self._highest(self.isr & ~self.imr if self.special_mask else self.isr)

    def request(self) -> int | None:
        """Rule 1: the input whose request goes out now, or None."""
        wanted, serving = self._highest(self.irr & ~self.imr), self._serving()
        if wanted is None or serving is None or self._rank(wanted) < self._rank(serving):
            return wanted
        # "This slave is not locked out from the master's priority logic" (special fully nested).
        nested = ICW4.SFNM.get(self.icw4) and self.slaves >> wanted & 1
        return wanted if wanted == serving and nested else None

    def _update(self) -> None:
        self.int_line.set(self.request() is not None)

    def acknowledge(self) -> int:
        """INTA, rule 2: the input that is in service now; `SPURIOUS` if no request is left."""
        n = self.request()
        if n is None:
            return SPURIOUS
        self._edges &= ~(1 << n)
        if not ICW4.AEOI.get(self.icw4):
            self.isr |= 1 << n
        elif self.rotate_on_aeoi:
            self.lowest = n
        self.int_line.set(False)
        self._update()
        return n

    def vector(self, n: int) -> int:
        """The vector of input `n`: ICW2 gives the upper five bits."""
        return ICW2.BASE.mask & self.icw2 | n

    def set_elcr(self, value: int) -> None:
        """Make the inputs with a 1 in `value` level triggered, the others edge triggered."""
        self.elcr = value
        self._update()

    # -- the ports

    def read(self, offset: int, size: int) -> int:
        """Port 0: IRR or ISR. Port 1: IMR. After a poll command, either answers the poll."""
        if self.poll:
            self.poll = False
            return self._poll()
        if offset & 1:
            return self.imr
        return self.isr if self.read_isr else self.irr

    def write(self, offset: int, size: int, value: int) -> None:
        """Port 0: ICW1, OCW2 or OCW3, by bits 4 and 3. Port 1: the ICW that is due, or IMR."""
        byte = value & 0xFF
        if offset & 1:
            self._write_port1(byte)
        elif ICW1.ONE.get(byte):
            self._initialize(byte)
        elif byte & 0x08:
            self._ocw3(byte)
        else:
            self._ocw2(byte)
        self._update()

    def _poll(self) -> int:
        """The poll word: bit 7, an interrupt was taken; bits 2-0, which. The read is its INTA."""
        return 0x80 | self.acknowledge() if self.request() is not None else 0

    def _initialize(self, icw1: int) -> None:
        """ICW1: edges are forgotten, nothing is masked, IR7 is lowest; the other ICWs are due.

        That ISR is cleared too is not in the data sheet's list (a to f); every PC's chip does so.
        """
        self.icw1 = icw1
        self._edges = self.imr = 0
        self.lowest = 7
        self.special_mask = self.read_isr = self.poll = False
        if not self.master:
            self.icw3 = 7
        if icw1:
            self.isr = 0
            self._due = ["icw2"]
            self._due += [] if ICW1.SNGL.get(icw1) else ["icw3"]
            self._due += ["icw4"] if ICW1.IC4.get(icw1) else []
        if not ICW1.IC4.get(icw1):
            self.icw4 = 0

    def _write_port1(self, byte: int) -> None:
        match self._due.pop(0) if self._due else "imr":
            case "icw2":
                self.icw2 = byte
            case "icw3":
                self.icw3 = byte
            case "icw4":
                self.icw4 = byte
            case _:
                self.imr = byte

    def _ocw2(self, byte: int) -> None:
        """R, SL, EOI: end of interrupt and rotation, of input LEVEL or of the one in service."""
        rotate, specific, eoi = byte >> 7 & 1, byte >> 6 & 1, byte >> 5 & 1
        if not specific and not eoi:
            self.rotate_on_aeoi = bool(rotate)
            return
        n = OCW2.LEVEL.get(byte) if specific else self._serving()
        if n is not None and eoi:
            self.isr &= ~(1 << n)
        if n is not None and rotate:
            self.lowest = n

    def _ocw3(self, byte: int) -> None:
        """Poll, the register that port 0 reads, special mask mode: each with its own enable."""
        if OCW3.P.get(byte):
            self.poll = True
        if OCW3.RR.get(byte):
            self.read_isr = bool(OCW3.RIS.get(byte))
        if OCW3.ESMM.get(byte):
            self.special_mask = bool(OCW3.SMM.get(byte))

    def peek(self) -> dict[str, int]:
        """Every register by name, with no side effect."""
        icws = {"ICW1": self.icw1, "ICW2": self.icw2, "ICW3": self.icw3, "ICW4": self.icw4}
        return {"IRR": self.irr, "IMR": self.imr, "ISR": self.isr, **icws}

    def __repr__(self) -> str:
        return (
            f"Pic8259({self.name!r}, irr {self.irr:#04x}, imr {self.imr:#04x}, isr {self.isr:#04x})"
        )
