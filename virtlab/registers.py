"""Registers, declared once: for the device, its driver, the trace, the picture and the docs.

    class Timer(RegisterFile):
        CONFIG = Reg(0x10, 8, rw=0x3, fields={"ENABLE": Bits(0)}, spec="HPET 2.3.5")

        def write_CONFIG(self, old, new): ...

A bit of a register is read-only unless `rw` has it (a write sets it) or `w1c` has it (writing a
1 clears it). That is one rule, and it stands in one function, `masked`.

`RegisterFile` is the device: it answers any access inside its `length`, also one that covers
half a register or two of them. A hole between registers reads as zero. A class is checked when
it is made: registers that overlap, and a handler for a register that is not there, are errors.

Where decoding *is* the lesson (UART, i8042), a device writes its own `match` and uses `Reg` only
to declare names and fields.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, overload

from virtlab.wire import Bits, all_ones


def masked(old: int, new: int, rw: int, w1c: int) -> int:
    """The one write rule: bits of `rw` take the new value, a 1 in `w1c` clears its bit.

    >>> bin(masked(0b1100, 0b0101, rw=0b0011, w1c=0b0100))
    '0b1001'
    """
    return ((old & ~rw) | (new & rw)) & ~(new & w1c)


class Reg:
    """One register: `width` bytes at `offset`.

    `reset` is its value after reset, `rw` its writable bits, `w1c` the bits that a written 1
    clears. `fields` names its bits. `access` is `"rw"`, `"r"` or `"w"`; `when` says under which
    condition it stands at that offset (`"DLAB=1"`); `spec` is the clause; `doc` one sentence.

    A field is an attribute: `LSR.THRE` is its `Bits`.
    """

    def __init__(
        self,
        offset: int,
        width: int,
        reset: int = 0,
        rw: int = 0,
        w1c: int = 0,
        spec: str = "",
        *,
        name: str = "",
        fields: Mapping[str, Bits] | None = None,
        access: str = "rw",
        when: str = "",
        doc: str = "",
    ) -> None:
        if rw & w1c:
            raise ValueError(f"bits {rw & w1c:#x} are both rw and w1c")
        if (reset | rw | w1c) >> 8 * width:
            raise ValueError(f"a value has more bits than the {width} bytes of the register")
        self.offset, self.width = offset, width
        self.reset, self.rw, self.w1c = reset, rw, w1c
        self.name, self.access, self.when, self.spec, self.doc = name, access, when, spec, doc
        self.fields: Mapping[str, Bits] = MappingProxyType(dict(fields or {}))
        _check_fields(self.fields, 8 * width)
        for field, bits in self.fields.items():
            self.__dict__.setdefault(field, bits)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __getattr__(self, field: str) -> Bits:
        """Reached by a name that is no attribute, and so no field."""
        raise AttributeError(f"{self.__dict__.get('name') or 'Reg'} has no field {field!r}")

    @overload
    def __get__(self, device: None, owner: type) -> Reg: ...
    @overload
    def __get__(self, device: RegisterFile, owner: type) -> int: ...
    def __get__(self, device: RegisterFile | None, owner: type) -> Reg | int:
        """On the class, the declaration; on a device, the value."""
        return self if device is None else device.values[self.name]

    def __set__(self, device: RegisterFile, value: int) -> None:
        device.values[self.name] = value & all_ones(self.width)

    def decode(self, value: int) -> dict[str, int]:
        """Every field with its value in `value`, lowest bit first."""
        return {name: bits.get(value) for name, bits in self.fields.items()}

    def __repr__(self) -> str:
        return f"Reg({self.name} @{self.offset:#x}/{self.width})"


def _check_fields(fields: Mapping[str, Bits], bits: int) -> None:
    taken = 0
    for name, field in fields.items():
        if field.hi >= bits or taken & field.mask:
            raise ValueError(f"field {name} ({field}) overlaps another or leaves {bits} bits")
        taken |= field.mask


class RegisterFile:
    """A device made of declared registers.

    Write `read_NAME(self) -> int` to compute a value, and `write_NAME(self, old, new)` to act
    once the masked write has been stored. While it runs, `lanes` has the bits that the access
    carries (half a register, or all of it). `length` is the bytes it answers.
    """

    length: ClassVar[int] = 0
    registers: ClassVar[tuple[Reg, ...]] = ()
    _ends: ClassVar[tuple[int, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect and check the declarations of the new class."""
        super().__init_subclass__(**kwargs)
        found = {reg.name: reg for base in reversed(cls.__mro__) for reg in _registers_of(base)}
        cls.registers = tuple(sorted(found.values(), key=lambda reg: reg.offset))
        cls._ends = tuple(reg.offset + reg.width for reg in cls.registers)
        for low, high in zip(cls.registers, cls.registers[1:], strict=False):
            if low.offset + low.width > high.offset:
                raise TypeError(f"{cls.__name__}: {low} and {high} overlap")
        end = max(cls._ends, default=0)
        cls.length = cls.__dict__.get("length", end)
        if cls.length < end:
            raise TypeError(
                f"{cls.__name__}: a register ends at {end:#x}, past length {cls.length:#x}"
            )
        for attribute in vars(cls):
            verb, _, name = attribute.partition("_")
            if verb in ("read", "write") and name.isupper() and name not in found:
                raise TypeError(
                    f"{cls.__name__}.{attribute} handles a register that is not declared"
                )

    def __init__(self) -> None:
        self.values = {reg.name: reg.reset for reg in self.registers}
        self.presets: dict[str, int] = {}
        self.rw: dict[str, int] = {}
        self.lanes = 0

    def preset(self, **values: int) -> None:
        """Give this one device its own reset values, by register, and take them now."""
        for name, value in values.items():
            self.presets[self._declared(name).name] = value
        self.values.update(values)

    def narrow(self, **rw: int) -> None:
        """Give this one device its own writable bits, by register: a BAR has those of its size."""
        for name, mask in rw.items():
            self.rw[self._declared(name).name] = mask

    def reset(self) -> None:
        """Every register to its reset value."""
        self.values.update((reg.name, reg.reset) for reg in self.registers)
        self.values.update(self.presets)

    def peek(self) -> dict[str, int]:
        """Every register's stored value by name, with no side effect: what a picture shows."""
        return dict(self.values)

    def read(self, offset: int, size: int) -> int:
        """`size` bytes at `offset`, of whatever registers lie there."""
        value = 0
        for reg, shift in self._overlapping(offset, size):
            handler: Callable[[], int] | None = getattr(self, f"read_{reg.name}", None)
            part = handler() if handler else self.values[reg.name]
            value |= part << shift if shift >= 0 else part >> -shift
        return value & all_ones(size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The written bytes of each register change by the masked rule; then its handler runs."""
        for reg, shift in self._overlapping(offset, size):
            written, data = all_ones(size), value
            if shift >= 0:
                written, data = written >> shift, data >> shift
            else:
                written, data = written << -shift, data << -shift
            old = self.values[reg.name]
            rw = self.rw.get(reg.name, reg.rw)
            new = masked(old, data, rw & written, reg.w1c & written)
            self.values[reg.name] = new
            self.lanes = written & all_ones(reg.width)
            handler: Callable[[int, int], None] | None = getattr(self, f"write_{reg.name}", None)
            if handler:
                handler(old, new)

    def _declared(self, name: str) -> Reg:
        for reg in self.registers:
            if reg.name == name:
                return reg
        raise ValueError(f"{type(self).__name__} has no register {name!r}")

    def _overlapping(self, offset: int, size: int) -> list[tuple[Reg, int]]:
        """The registers under an access, each with the bits it lies above the access's start."""
        end, found = offset + size, []
        for reg in self.registers[bisect_right(self._ends, offset) :]:
            if reg.offset >= end:
                break
            found.append((reg, 8 * (reg.offset - offset)))
        return found


def _registers_of(base: type) -> list[Reg]:
    return [value for value in vars(base).values() if isinstance(value, Reg)]
