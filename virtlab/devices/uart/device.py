"""The 16550A itself: what each address means, when it interrupts, and its modem lines.

The decoding is the lesson. `read` and `write` are each one `match` over the offset and DLAB; what
is read from the chip and what is written to it are different registers at the same address.

The rule that keeps it simple: status is computed when it is read, never stored. Each access
changes state, and then `_update` drives the interrupt line from that state.

Where the data sheet is silent, we do as QEMU does: the divisor is 12 after reset (9600 baud); ETBEI
going from 0 to 1 while THRE is set interrupts again, even if that had been noticed.

Where QEMU differs from the data sheet, we follow the data sheet:

1. MCR is 0 after reset (table I); QEMU sets OUT2.
2. In loopback, the delta bits of MSR work, and interrupt (8.8); in QEMU they do not.
3. Without its bit 0, a write to FCR does nothing but leave FIFO mode (8.5); QEMU also obeys the two
   reset bits then.
4. Only reading LSR clears BI (8.4); in QEMU, reading RBR does so too.
"""

from __future__ import annotations

from virtlab.backends import ModemLines, Terminal
from virtlab.clock import Clock
from virtlab.devices.uart.receiver import Receiver
from virtlab.devices.uart.registers import (
    DLL,
    DLM,
    FCR,
    IER,
    IIR,
    LCR,
    LSR,
    MCR,
    MSR,
    RBR,
    SCR,
    THR,
    TRIGGERS,
    Cause,
    frame,
)
from virtlab.devices.uart.transmitter import Transmitter
from virtlab.interrupts import IrqLine


class Uart16550:
    """One 16550A. Three address lines and eight data lines: wider offsets and values are cut.

    `irq` is its INTR pin, `terminal` the far end of its line. With `clock` (virtual time) the
    character timeout works. With `timed` as well, a character is a frame on a wire: it takes its
    time, has only the data bits that LCR asks for, and a break in LCR holds the line. Without,
    characters move whole and at once, as in QEMU.

    `out2_gates` adds a gate that the PC has between INTR and the interrupt controller: OUT2
    must be on. The chip has no such gate, nor has QEMU.
    """

    def __init__(
        self,
        irq: IrqLine | None = None,
        terminal: Terminal | None = None,
        clock: Clock | None = None,
        *,
        timed: bool = False,
        out2_gates: bool = False,
    ) -> None:
        if timed and clock is None:
            raise ValueError("timed=True needs a clock: characters take virtual time")
        self.irq = irq if irq is not None else IrqLine("uart")
        self.terminal = terminal if terminal is not None else Terminal()
        self.timed = timed
        self.out2_gates = out2_gates
        self.receiver = Receiver(self._update, clock, timed)
        self.transmitter = Transmitter(self._deliver, self._update, clock if timed else None)
        self.reset()
        self.terminal.listener = self.receiver.type
        self.terminal.modem_listener = self._modem_changed

    def reset(self) -> None:
        """Master Reset (PC16550D table I, where DLL, DLM and SCR have no value)."""
        self.ier, self.fcr, self.lcr, self.mcr = IER.reset, FCR.reset, LCR.reset, MCR.reset
        self.scr, self.dll, self.dlm = SCR.reset, DLL.reset, DLM.reset
        self.receiver.reset()
        self.transmitter.reset()
        self.inputs = self._modem_inputs()
        self.deltas = 0
        self._set_frame()
        self._update()

    # -- the decoding

    def read(self, offset: int, size: int = 1) -> int:
        """The byte at `offset`, whatever the size. Reading RBR, IIR, LSR or MSR changes it."""
        match offset & 7, LCR.DLAB.get(self.lcr):
            case RBR.offset, 0:
                return self.receiver.take()
            case DLL.offset, 1:
                return self.dll
            case IER.offset, 0:
                return self.ier
            case DLM.offset, 1:
                return self.dlm
            case IIR.offset, _:
                return self._read_iir()
            case LCR.offset, _:
                return self.lcr
            case MCR.offset, _:
                return self.mcr
            case LSR.offset, _:
                return self._read_lsr()
            case MSR.offset, _:
                return self._read_msr()
            case _:
                return self.scr

    def write(self, offset: int, size: int, value: int) -> None:
        """The low byte of `value` to `offset`, whatever the size. LSR and MSR ignore it."""
        value &= 0xFF
        match offset & 7, LCR.DLAB.get(self.lcr):
            case THR.offset, 0:
                self.transmitter.write(value)
            case DLL.offset, 1:
                self.dll = value
                self._set_frame()
            case IER.offset, 0:
                self._write_ier(value & IER.rw)
            case DLM.offset, 1:
                self.dlm = value
                self._set_frame()
            case FCR.offset, _:
                self._write_fcr(value)
            case LCR.offset, _:
                self.lcr = value
                self._set_frame()
            case MCR.offset, _:
                self._write_mcr(value & MCR.rw)
            case SCR.offset, _:
                self.scr = value

    def peek(self) -> dict[str, int]:
        """The value of every register by name, with no side effect: for whoever looks on.

        THR is the last character written, FCR what it was last programmed to.
        """
        return {
            RBR.name: self.receiver.top(),
            THR.name: self.transmitter.thr,
            DLL.name: self.dll,
            IER.name: self.ier,
            DLM.name: self.dlm,
            IIR.name: self._iir(),
            FCR.name: self.fcr,
            LCR.name: self.lcr,
            MCR.name: self.mcr,
            LSR.name: self._lsr(),
            MSR.name: self.inputs | self.deltas,
            SCR.name: self.scr,
        }

    # -- the interrupt

    def cause(self) -> Cause:
        """The most urgent cause that is enabled and pending (PC16550D 8.6, table IV)."""
        enabled = IER.decode(self.ier)
        if enabled["ELSI"] and self.receiver.errors:
            return Cause.LINE_STATUS
        if enabled["ERBFI"] and self.receiver.timed_out:
            return Cause.CHARACTER_TIMEOUT
        if enabled["ERBFI"] and self.receiver.reached:
            return Cause.DATA_AVAILABLE
        if enabled["ETBEI"] and self.transmitter.pending:
            return Cause.THR_EMPTY
        if enabled["EDSSI"] and self.deltas:
            return Cause.MODEM_STATUS
        return Cause.NONE

    def _update(self) -> None:
        """Drive INTR from the state."""
        level = self.cause() is not Cause.NONE
        if self.out2_gates:
            # "... and the MODEM Control output pins are forced to their inactive state" (8.8).
            level = level and MCR.OUT2.get(self.mcr) > MCR.LOOP.get(self.mcr)
        self.irq.set(level)

    def _iir(self) -> int:
        return IIR.FIFOS.put(self.cause(), 0b11 * FCR.FIFO_ENABLE.get(self.fcr))

    def _read_iir(self) -> int:
        """Reading IIR takes note of an empty THR, if that is what it says (table IV)."""
        value = self._iir()
        if self.cause() is Cause.THR_EMPTY:
            self.transmitter.pending = False
            self._update()
        return value

    def _write_ier(self, value: int) -> None:
        """Enable causes. With THRE set, ETBEI going on interrupts at once (PC16550D 8.4, bit 5)."""
        if IER.ETBEI.get(value & ~self.ier):
            self.transmitter.pending = self.transmitter.thre
        self.ier = value
        self._update()

    # -- line control

    def _write_fcr(self, value: int) -> None:
        """FIFO control. Without bit 0 nothing else is programmed (PC16550D 8.5, bit 0).

        Bit 0 changing empties both FIFOs, and the transmitter interrupts at once (8.11).
        """
        fifo = FCR.FIFO_ENABLE.get(value)
        switched = fifo != FCR.FIFO_ENABLE.get(self.fcr)
        self.fcr = value & FCR.rw if fifo else 0
        self.receiver.fifo = self.transmitter.fifo = bool(fifo)
        self.receiver.trigger = TRIGGERS[FCR.TRIGGER.get(self.fcr)]
        if switched or (fifo and FCR.RCVR_RESET.get(value)):
            self.receiver.clear()
        if switched or (fifo and FCR.XMIT_RESET.get(value)):
            self.transmitter.clear()
        self._update()
        self.receiver.accept()

    def _set_frame(self) -> None:
        """LCR or the divisor latch changed: so does every frame from now on."""
        divisor = self.dlm << 8 | self.dll
        self.receiver.frame = self.transmitter.frame = frame(self.lcr, divisor)

    def _lsr(self) -> int:
        value = LSR.DR.put(self.receiver.errors, bool(self.receiver.received))
        value = LSR.THRE.put(value, self.transmitter.thre)
        value = LSR.TEMT.put(value, self.transmitter.temt)
        return LSR.FIFO_ERROR.put(value, self.receiver.fifo_error)

    def _read_lsr(self) -> int:
        """Reading LSR clears the errors in it (8.4)."""
        value = self._lsr()
        self.receiver.errors = 0
        self._update()
        return value

    def _deliver(self, character: int) -> None:
        """A character leaves the shift register: to the receiver in loopback, else to SOUT."""
        if self.timed:
            character &= self.transmitter.frame.mask
        if MCR.LOOP.get(self.mcr):
            self.receiver.put(character)
        elif not (self.timed and LCR.BREAK.get(self.lcr)):
            self.terminal.receive(character)

    # -- the modem lines

    def _write_mcr(self, value: int) -> None:
        """Modem control. Loopback cuts the terminal off and turns outputs into inputs (8.8)."""
        self.mcr = value
        self.receiver.connected = not MCR.LOOP.get(value)
        self._sense()
        self.receiver.accept()

    def _modem_inputs(self) -> int:
        """MSR bits 7-4: the terminal's lines, or in loopback our own outputs (8.9)."""
        if MCR.LOOP.get(self.mcr):
            out = MCR.decode(self.mcr)
            lines = (out["RTS"], out["DTR"], out["OUT1"], out["OUT2"])
        else:
            modem = self.terminal.modem
            lines = (modem.cts, modem.dsr, modem.ri, modem.dcd)
        fields = (MSR.CTS, MSR.DSR, MSR.RI, MSR.DCD)
        return sum(field.put(0, line) for field, line in zip(fields, lines, strict=True))

    def _modem_changed(self, lines: ModemLines) -> None:
        """The terminal drives its lines anew."""
        self._sense()

    def _sense(self) -> None:
        """Note which inputs changed (8.9). For RI, only its trailing edge counts: on, then off."""
        before, self.inputs = self.inputs, self._modem_inputs()
        went_off = MSR.RI.get(before & ~self.inputs)
        changed = MSR.TERI.put((before ^ self.inputs) >> 4, went_off)
        self.deltas |= changed
        self._update()

    def _read_msr(self) -> int:
        """Reading MSR clears its four delta bits."""
        value = self.inputs | self.deltas
        self.deltas = 0
        self._update()
        return value
