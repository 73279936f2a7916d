"""Unicorn as a processor that stops: registers, RAM that is mapped when met, and why it stopped.

The idea: Unicorn only computes. It stops *before* an instruction that leaves the processor, an I/O
instruction, `HLT` or one that meets memory which is no RAM, and at a fault.

The rule that keeps it simple: RAM is given to Unicorn page by page when the guest first meets it,
as a TLB is filled: to be read, and to be written once it is written. So the tables are asked before
every kind of access. A page whose walk has changed is taken away before the next run.

Source: the Unicorn API (`UC_HOOK_CODE`, `mem_map_ptr`). Unicorn is licensed under the GPL, so it is
imported only when an engine is made, and comes with the extra `virtlab[x86]`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, NamedTuple

from virtlab.errors import DmaFault
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.emulate import Registers
from virtlab.vmm.emulate_decode import MAX_LENGTH
from virtlab.vmm.ept import Ept
from virtlab.vmm.exits import UNDEFINED_OPCODE
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.tables import Walk
from virtlab.vmm.x86_opcodes import REGISTERS
from virtlab.wire import all_ones

STEPS = 10_000_000
"""Instructions without an exit after which a guest is given up, unless told otherwise."""

PREFIXES = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"
OURS = frozenset(b"\x6c\x6d\x6e\x6f\xe4\xe5\xe6\xe7\xec\xed\xee\xef\xf4")
"""Opcodes that Unicorn must not execute: INS, OUTS, IN, OUT, HLT."""


class Stop(NamedTuple):
    """Why the engine stopped.

    `instruction`: before an I/O instruction or HLT. `memory`: before one that meets no RAM.
    `fault`: an exception, or `INT n` where `software` is set, whose number is `vector`. `nowhere`:
    EIP points to no RAM.
    """

    why: Literal["instruction", "memory", "fault", "nowhere"]
    vector: int = 0
    software: bool = False


class Engine:
    """A processor in 32-bit flat protected mode whose memory is `memory`, as `tables` translate.

    `steps` counts instructions; whoever runs it sets that to 0, and may not let it pass `limit`.
    `ImportError`, saying how to get it, where Unicorn is missing.
    """

    def __init__(self, memory: GuestMemory, tables: Ept | ShadowPageTable, limit: int) -> None:
        try:
            unicorn: Any = import_module("unicorn")
            self.names: Any = import_module("unicorn.x86_const")
        except ImportError:
            raise ImportError("Unicorn is missing: pip install 'virtlab[x86]'") from None
        self.api = unicorn
        self.memory, self.tables, self.limit = memory, tables, limit
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        self.pages: dict[int, Walk] = {}
        self.steps = self._at = 0
        self._stop: Stop | None = None
        unmapped = unicorn.UC_HOOK_MEM_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_PROT
        self.uc.hook_add(unmapped, self._met)
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self._begins)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._faulted)

    # -- registers

    def _register(self, name: str) -> int:
        number: int = getattr(self.names, f"UC_X86_REG_{name.upper()}")
        return number

    def get(self, name: str) -> int:
        """A register by its name in small letters."""
        value: int = self.uc.reg_read(self._register(name))
        return value

    def put(self, name: str, value: int) -> None:
        """The same, written."""
        self.uc.reg_write(self._register(name), value)

    @property
    def registers(self) -> Registers:
        """The general registers, EIP and EFLAGS."""
        general = tuple(self.get(name) for name in REGISTERS[4])
        return Registers(general, self.get("eip"), self.get("eflags"))

    @registers.setter
    def registers(self, registers: Registers) -> None:
        names = (*REGISTERS[4], "eip", "eflags")
        values = (*registers.general, registers.eip, registers.eflags)
        for name, value in zip(names, values, strict=True):
            self.put(name, value)

    @property
    def gates(self) -> tuple[int, int]:
        """IDTR: the address of the table of gates, and its limit."""
        _, base, limit, _ = self.uc.reg_read(self._register("idtr"))
        return base, limit

    def enter_segment(self, selector: int) -> bool:
        """Load CS. False if the table of segments has no such code segment."""
        try:
            self.put("cs", selector)
        except self.api.UcError:
            return False
        return True

    # -- running

    def run(self) -> Stop:
        """Run from EIP until something stops it. `ValueError` if `steps` passes `limit`."""
        self._forget()
        self._stop = None
        try:
            self.uc.emu_start(self.get("eip"), all_ones(4))
        except self.api.UcError as error:
            self._stop = self._refused(error.errno)
        if self.steps > self.limit:
            raise ValueError(f"the guest has run {self.limit} instructions without an exit")
        return self._stop or Stop("nowhere")

    def _refused(self, error: int) -> Stop:
        """What Unicorn's error is to the guest."""
        if error == self.api.UC_ERR_INSN_INVALID:
            return Stop("fault", UNDEFINED_OPCODE)
        return Stop("nowhere" if error == self.api.UC_ERR_FETCH_UNMAPPED else "memory")

    def _begins(self, uc: Any, at: int, size: int, _: object) -> None:
        """An instruction, or one repetition of it, is about to be executed.

        One that is undefined has no size: Unicorn then gives a number far too large.
        """
        self._at = at
        self.steps += 1
        code = bytes(uc.mem_read(at, size)).lstrip(PREFIXES) if size <= MAX_LENGTH else b""
        if code and code[0] in OURS:
            self._stop = Stop("instruction")
        if self._stop or self.steps > self.limit:
            uc.emu_stop()

    def _faulted(self, uc: Any, vector: int, _: object) -> None:
        """A fault leaves EIP at its instruction; `INT n` leaves it behind."""
        self._stop = Stop("fault", vector, software=self.get("eip") != self._at)
        uc.emu_stop()

    # -- memory

    def fetch(self, eip: int) -> bytes:
        """The bytes from `eip` on that one instruction may have, as far as they are in RAM."""
        code = b""
        for at in (eip, (eip | PAGE - 1) + 1):
            n = min(MAX_LENGTH - len(code), PAGE - at % PAGE)
            walk = self.tables.walk(at & all_ones(4))
            try:
                code += self.memory.read(walk.hpa, n) if not walk.problem else b""
            except DmaFault:
                break
        return code

    def _met(self, uc: Any, kind: int, gpa: int, size: int, value: int, _: object) -> bool:
        """Memory that Unicorn may not use yet. False stops it before the instruction."""
        write = kind in (self.api.UC_MEM_WRITE_UNMAPPED, self.api.UC_MEM_WRITE_PROT)
        page = gpa & -PAGE
        hpa = self.tables.translate(page, 1, write)
        if not isinstance(hpa, int):
            return False
        try:
            offset = self.memory.offset(hpa, PAGE)
        except DmaFault:
            return False
        rights = self.api.UC_PROT_ALL if write else self.api.UC_PROT_READ | self.api.UC_PROT_EXEC
        if page in self.pages:
            uc.mem_protect(page, PAGE, rights)
        else:
            uc.mem_map_ptr(page, PAGE, rights, self.memory.bytes.ctypes.data + offset)
        self.pages[page] = self.tables.walk(page)
        return True

    def _forget(self) -> None:
        """Give up what may be out of date: pages whose walk is another now, and translated code.

        Somebody else, a device or the VMM, may have written to RAM since the last run.
        """
        self.uc.ctl_flush_tb()
        for page, walk in list(self.pages.items()):
            if self.tables.walk(page) != walk:
                self.uc.mem_unmap(page, PAGE)
                del self.pages[page]
