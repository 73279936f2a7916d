"""A driver's eight steps on paper: what a device and a driver shall come to, and what they did.

    Negotiation   features offered, understood, needed     negotiate -> bits, None, or a word
    SetUp         queues there are, queues wanted          set_up    -> a bool, or a word

The idea: each access is held against the step that the driver is in, by `watched_mmio`. What is
left to compare at the end is the answer, the features that the device was told, and its queues.

The rule that keeps it simple: what is right is said by the library, by `choose` of its own driver,
and by a twin of the device that is set up behind the watch's back.

Source: virtio 1.3 2.2.1, 3.1.1, 4.2.3.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.bus import AddressSpace
from virtlab.course.answers import Answer
from virtlab.course.budget import BudgetCpu
from virtlab.course.ps4.machines import Stepped, budgeted
from virtlab.course.ps5.watched_mmio import AGREED, LOOK_STEP, Paper, Watched
from virtlab.course.tasks import Difference, compare, same, shown
from virtlab.guest.virtio_device import choose
from virtlab.memory import GuestMemory
from virtlab.virtio.features import from_bits, to_bits
from virtlab.virtio.mmio_registers import WINDOW
from virtlab.virtio.status import DeviceId, Status

LOOK_NOBODY = "MAGIC_VALUE, VERSION 2, DEVICE_ID not 0: else there is nothing to drive (4.2.2.2)"
LOOK_CHOICE = "offered, understood, and with all that it needs accepted too (virtio 1.3 2.2.1)"
LOOK_TOLD = "both words, each behind its selector (virtio 1.3 4.2.2.2)"
LOOK_LEGACY = "VERSION_1 is bit 32, in the second word; a legacy device does not offer it (2.2.3)"
LOOK_DEAD = "'dead' is the answer to 100 reads of STATUS that are not 0, and to nothing else"
LOOK_AGREE = "the device does not keep FEATURES_OK if it does not agree (virtio 1.3 3.1.1)"
LOOK_FAILED = "to give up is to set FAILED beside the other bits (virtio 1.3 3.1.1, 2.1)"
LOOK_BACK = "step 6 is not optional: read STATUS back (virtio 1.3 3.1.1)"
LOOK_QUEUE = "QUEUE_READY must be 0, QUEUE_SIZE_MAX large enough (virtio 1.3 4.2.3.2)"
LOOK_SIZE = "QUEUE_SIZE takes the size that the driver wants, not the largest (virtio 1.3 4.2.3.2)"
LOOK_PARTS = "a half of an address is 32 bits: low at the first offset, high 4 bytes on (4.2.2)"
LOOK_LIVE = "step 8 is DRIVER_OK; then NEEDS_RESET says whether it went well (virtio 1.3 2.1.2)"

WORD_LOOKS = {"dead": LOOK_DEAD, "legacy": LOOK_LEGACY, "refused": LOOK_AGREE, "queue": LOOK_QUEUE}
FIRST = 1 << 32
"""VERSION_1, as a bit."""

FOREVER = 1 << 30

AGREEING, HANDING = 17, 11
"""Register accesses, each an exit: of steps 1 to 6 if all goes well, of step 7 for each queue."""

Bits = tuple[int, ...]
Place = tuple[int, int, int, int]
"""Size and three addresses of a queue."""


def machine(device: Watched, base: int) -> BudgetCpu:
    """A guest's processor with this device at `base`, and nobody around it."""
    cpu = Stepped(GuestMemory(1 << 12))
    memory: AddressSpace = cpu.memory
    memory.map(base, WINDOW, device, "virtio", width=4)
    return budgeted(cpu)


class Negotiation:
    """One device, and what a driver that understands `understood` shall come to."""

    def __init__(
        self,
        offered: Bits = (),
        understood: Bits = (),
        needs: Mapping[int, int] | None = None,
        *,
        insists: Mapping[int, int] | None = None,
        version_1: bool = True,
        device_id: int = DeviceId.NETWORK,
        magic: int | None = None,
        version: int | None = None,
        slow: int = 0,
        used: bool = False,
    ) -> None:
        self.understood = to_bits(understood) | FIRST
        self.needs = dict(needs or {})
        requires = {bit: from_bits(more) for bit, more in (insists or needs or {}).items()}
        requires = {bit: more for bit, more in requires.items() if more <= {*offered, 32}}
        self.paper = Paper(device_id, offered, requires)
        self.device = Watched(self.paper, magic, version, slow)
        core = self.device.card.core
        if not version_1:
            core.offered -= {32}
        if used:
            self.device.leave_live()
        self.told = self._told(offered, slow, magic, version, device_id, version_1, used)
        self.right = self._right()

    def _told(self, offered: Bits, slow: int, *more: object) -> str:
        magic, version, device_id, version_1, used = more
        texts = [f"a device offers bits {_bits({*offered, *((32,) if version_1 else ())})}"]
        texts += [f"magic {magic:#x}"] if magic is not None else []
        texts += [f"version {version}"] if version is not None else []
        texts += ["device id 0"] if device_id == 0 else []
        texts += [f"STATUS is not 0 for {slow} reads"] if 0 < slow < FOREVER else []
        texts += ["its reset never ends"] if slow == FOREVER else []
        texts += ["its last driver left it live"] if used else []
        return ", ".join(texts)

    def _right(self) -> int | str | None:
        """What negotiate answers."""
        if not all(self.device.good.values()):
            return None
        if self.device.slow >= 100:
            return "dead"
        offered = self.device.card.core.offered
        needs = {bit: from_bits(more) for bit, more in self.needs.items()}
        accepted = choose(offered, from_bits(self.understood), needs)
        if 32 not in accepted:
            return "legacy"
        missing = [
            b for b, more in self.paper.requires.items() if b in accepted and more - accepted
        ]
        return "refused" if missing else to_bits(accepted)

    def run(self, answer: Answer, base: int) -> Difference | None:
        """Let the student negotiate, and look what became of it."""
        needs = ", ".join(f"{bit}: {more:#x}" for bit, more in self.needs.items())
        understood = _bits(from_bits(self.understood))
        answer.given = f"negotiate(cpu, {base:#x}, bits {understood}, {{{needs}}}); {self.told}"
        cpu = machine(self.device, base)
        yours = answer.call("negotiate", cpu, base, self.understood, dict(self.needs))
        answer.note_cost("exits", len(cpu.accesses), AGREEING)
        return self.device.wrong or self._answer(yours) or self._left()

    def _answer(self, yours: object) -> Difference | None:
        right = self.right
        look = LOOK_CHOICE if isinstance(right, int) else WORD_LOOKS.get(str(right), LOOK_NOBODY)
        look = WORD_LOOKS.get(yours, look) if isinstance(yours, str) else look
        if isinstance(right, int) and type(yours) is int and yours != right and yours >= 0:
            said = f"bits {_bits(from_bits(yours))}"
            return Difference(f"bits {_bits(from_bits(right))}", said, look)
        return compare(right, yours, look)

    def _left(self) -> Difference | None:
        """What the device was told, and the status that it was left in."""
        core, device = self.device.card.core, self.device
        if self.right in (None, "dead"):
            return None
        if isinstance(self.right, str):
            failed = device.status & Status.FAILED
            return None if failed else Difference("FAILED is set", _status(device), LOOK_FAILED)
        if core.accepted != self.right:
            right, said = _bits(from_bits(self.right or 0)), _bits(core.features)
            return Difference(f"the device is told bits {right}", f"bits {said}", LOOK_TOLD)
        if device.unread:
            return Difference("STATUS is read back", "it is not", LOOK_BACK)
        done = device.status == AGREED
        return None if done else Difference(f"STATUS {AGREED:#x}", _status(device), LOOK_STEP)


class SetUp:
    """A device with which the features are agreed on, and the queues that a driver wants."""

    def __init__(self, sizes: Bits, wanted: tuple[Place, ...], used: int = -1) -> None:
        self.wanted = wanted
        self.device = Watched(Paper(queue_sizes=sizes))
        self.device.go_on()
        self.told = f"the device has queues of at most {list(sizes)}"
        if used >= 0:
            place = sizes[used], 0x8000, 0x9000, 0xA000
            _hand_over(self.device, used, place)
            self.told += f", number {used} is in use already"
        self.used = used
        short = (n for n, one in enumerate(wanted) if n >= len(sizes) or one[0] > sizes[n])
        self.fails = min([*short, *([used] if 0 <= used < len(wanted) else [])], default=None)
        self.right = self._right()

    def _right(self) -> bool | str:
        """What set_up answers: a twin of the device is told the same."""
        if self.fails is not None:
            return "queue"
        twin = Watched(Paper(queue_sizes=self.device.card.core.device.queue_sizes))
        twin.go_on()
        for number, place in enumerate(self.wanted):
            _hand_over(twin, number, place)
        return not twin.status & Status.DEVICE_NEEDS_RESET

    def run(self, answer: Answer, base: int) -> Difference | None:
        """Let the student set it up."""
        places = ", ".join(
            "(" + f"{one[0]}, " + ", ".join(map(hex, one[1:])) + ")" for one in self.wanted
        )
        answer.given = f"set_up(cpu, {base:#x}, [{places}]); {self.told}"
        cpu = machine(self.device, base)
        yours = answer.call("set_up", cpu, base, list(self.wanted))
        answer.note_cost("exits", len(cpu.accesses), HANDING * len(self.wanted) + 3)
        found = self.device.wrong or self._queues()
        look = WORD_LOOKS.get(str(self.right), LOOK_LIVE)
        return found or compare(self.right, yours, look) or self._left()

    def _queues(self) -> Difference | None:
        """Each queue that could be set up is where it was wanted; none else is in use."""
        if self.right is False:
            return None
        for number, setup in enumerate(self.device.card.core.queues):
            if number == self.used:
                continue
            here = number < (len(self.wanted) if self.fails is None else self.fails)
            if setup.ready != here:
                said = f"queue {number} is{' not' * here} in use"
                right = f"queue {number} is{' not' * (not here)} in use"
                return Difference(right, said, LOOK_QUEUE if not here else LOOK_PARTS)
            place = setup.size, setup.desc, setup.driver, setup.device
            if here and not same(self.wanted[number], place):
                right = f"queue {number}: {shown(self.wanted[number])}"
                look = LOOK_SIZE if self.wanted[number][0] != setup.size else LOOK_PARTS
                return Difference(right, shown(place), look)
        return None

    def _left(self) -> Difference | None:
        status = self.device.status
        if self.fails is not None:
            failed = status & Status.FAILED
            return (
                None if failed else Difference("FAILED is set", _status(self.device), LOOK_FAILED)
            )
        if not self.device.started:
            return Difference("DRIVER_OK is set", _status(self.device), LOOK_LIVE)
        if self.device.unread:
            return Difference("STATUS is read after DRIVER_OK", "it is not", LOOK_LIVE)
        return None


def _hand_over(device: Watched, number: int, place: Place) -> None:
    """A queue, set up behind the watch's back."""
    size, *addresses = place
    core = device.card.core
    core.resize(number, size)
    for part, gpa in zip(("desc", "driver", "device"), addresses, strict=True):
        core.set_address(number, part, gpa)
    core.enable(number)


def _bits(bits: object) -> str:
    numbers = sorted(bits)  # type: ignore[call-overload]
    return ", ".join(map(str, numbers)) if len(numbers) <= 12 else f"{len(numbers)} of them"


def _status(device: Watched) -> str:
    return f"STATUS {device.status:#x}"
