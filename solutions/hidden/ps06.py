"""Hidden cases of problem set 6: other memories, other domains, deeper trees.

See `ps01.py` for the rules of such a file.
"""

from virtlab.course.ps3.machines import Memory
from virtlab.course.ps6.domain_bench import Bench as Domain
from virtlab.course.ps6.fault_records import _decode, _interrupt, _reads, _record, _struck
from virtlab.course.ps6.functions import _list, _room
from virtlab.course.ps6.functions_paper import Paper
from virtlab.course.ps6.mapping import _step
from virtlab.course.ps6.plan import _bus, _card, _nic, _shape, _switch
from virtlab.course.ps6.plan_board import Shape
from virtlab.course.ps6.plan_cases import card, groups_of, net, plan_of, vm
from virtlab.course.ps6.probed_unit import ProbedUnit, Watched
from virtlab.course.ps6.remapping_tables import EIME, Ask, entry, irta, message, posted
from virtlab.course.ps6.second_level import HUGE, LARGE, RW, Tables, page
from virtlab.course.ps6.walk_runs import asks
from virtlab.course.tasks import Case, first
from virtlab.interrupts import Msi
from virtlab.iommu.layouts import CONTEXT
from virtlab.memory import PAGE, GuestMemory

# -- 1. the walk


def larger_memory(answer, rng):
    """More memory than ever, with a table in what is new; and less, with one outside."""
    tables = Tables(4)
    tables.ram = GuestMemory(100 * PAGE)
    tables.memory = Memory(tables.ram)
    tables.plant(0x20_0000, 2, 90 * PAGE | RW)
    tables.plant(0x40_0000, 2, 100 * PAGE | RW)
    tables.ram.store(90 * PAGE + 8 * 3, 8, page(0x1234_5000))
    tables.plant(0x5000, 1, page(0x7000))
    asked = ((0x20_3ABC, True), (0x40_0000, False), (0x5001, True))
    return first(asks(answer, tables, *one) for one in asked)


def other_context(answer, rng):
    """Context entries of other domains, with other bits that are not asked about."""
    for levels in (3, 4, 5):
        tables = Tables(levels)
        tables.context = CONTEXT.pack(
            P=1, FPD=1, SLPTPTR=tables.top // PAGE, AW=levels - 2, DID=rng.getrandbits(16)
        )
        iova = rng.getrandbits(9 * levels) << 12
        tables.plant(iova, 1, page(0x1_0000 + PAGE * rng.randrange(256)))
        if found := asks(answer, tables, iova | 0xFFF, True) or asks(answer, tables, 0, False):
            return found
    return None


def ends_of_pages(answer, rng):
    """The first byte and the last of pages of each size, far up."""
    tables = Tables(5)
    for level, size in ((3, HUGE), (2, LARGE), (1, PAGE)):
        iova = rng.getrandbits(56) & -HUGE
        tables.plant(iova, level, page((1 << 45) + size * rng.randrange(64), size))
        asked = ((iova, False), (iova + size - 1, True), (iova + size, False))
        if found := first(asks(answer, tables, *one) for one in asked):
            return found
    return None


# -- 2. mapping


def _domain(answer, rng, number, levels, caching_mode):
    """A domain of another number."""
    bench = Domain(answer, rng, levels, caching_mode)
    bench.probed = ProbedUnit(levels, number, caching_mode)
    bench.d.number = number
    bench.d.memory = Watched(bench.probed.ram, bench.probed.tables, bench.probe)
    return bench


def other_domain(answer, rng):
    """Domains with other numbers, in caching mode and not."""
    for number, caching_mode in ((0xFFFF, True), (rng.randrange(6, 999), False)):
        bench = _domain(answer, rng, number, 3, caching_mode)
        steps = ((0x5000, 0x9000, 2 * PAGE), (0x5000, PAGE), (0x5000, 0x4000, PAGE))
        if found := first(_step(bench, step) for step in steps):
            return found
    return None


def many_pages(answer, rng):
    """More pages than ever, over a table's end; then most of them go."""
    bench = Domain(answer, rng, rng.choice((3, 4)))
    iova = 0x40_0000 - PAGE * rng.randrange(1, 8)
    steps = ((iova, 0x200_0000, 8 * PAGE), (iova + PAGE, 7 * PAGE))
    return first(_step(bench, step) for step in steps)


# -- 3. faults


def far_records(answer, rng):
    """Records far up in the registers, which have gone round several times."""
    for place, turned in ((0xE00, 3), (0xC10, 13), (0x800, 40)):
        if found := _reads(4, 5, 0, 2, turned=turned, records=5, place=place)(answer, rng):
            return found
    return _struck((1,), 5, records=6)(answer, rng)


def every_reason(answer, rng):
    """All 256 reasons, of reads, of writes and of interrupts."""
    for reason in range(256):
        one = _record(rng.getrandbits(16), reason, rng.getrandbits(64) & -PAGE, reason & 1)
        if found := _decode(answer, one, "a reason decides what stands in the other fields"):
            return found
    return first(
        _decode(answer, _interrupt(rng.getrandbits(16), reason), "an index of 16 bits")
        for reason in range(0x20, 0x30)
    )


# -- 4. interrupts


def every_size(answer, rng):
    """Tables of each of the sixteen sizes: their last entry, and the one behind it."""
    for exponent in range(10):
        size = 2 << exponent
        for named in (size - 1, size):
            ask = Ask(entry(0x40 + exponent, 9), message(named), named, register=irta(exponent))
            if found := ask.run(answer):
                return found
    return None


def every_source(answer, rng):
    """Each way to compare a source id, with ids that differ in one bit."""
    sid = rng.getrandbits(16)
    asked = [
        Ask(entry(0x52, 9, SVT=1, SQ=sq, SID=sid), source=sid ^ 1 << bit)
        for sq in range(4)
        for bit in range(16)
    ]
    low, high = sorted((rng.randrange(256), rng.randrange(256)))
    ranges = entry(0x52, 9, SVT=2, SID=low << 8 | high)
    asked += [Ask(ranges, source=bus << 8 | 0x18) for bus in (0, low, high, 0xFF)]
    reverse = entry(0x52, 9, SVT=2, SID=0xFF00)
    asked += [Ask(reverse, source=rng.getrandbits(16)) for _ in range(4)]
    return first(one.run(answer) for one in asked)


def two_forms(answer, rng):
    """Both forms and the old format in turn, through one table."""
    for number in range(20):
        wide = EIME * (number % 2)
        asks_here = (
            Ask(posted(rng.getrandbits(58) << 6, rng.getrandbits(8)), register=irta() | wide),
            Ask(entry(rng.getrandbits(8), rng.getrandbits(8)), register=irta() | wide),
            Ask(msi=Msi(0xFEE0_0000 | rng.getrandbits(8) << 12, 0x4000), old_allowed=not wide),
        )
        if found := first(one.run(answer) for one in asks_here):
            return found
    return None


# -- 5. virtual functions


def odd_ecam(answer, rng):
    """Configuration space that begins anywhere, not at a multiple of its size."""
    for ecam in (0x1_2345_6000, 0xFFFF_F000, 0xB010_0000, 0x1000 * rng.getrandbits(30)):
        paper = Paper((rng.randrange(256), 4, 1), 30, 40, 8, 3, ecam=ecam)
        if found := _list(answer, paper):
            return found
    return None


def exactly_full(answer, rng):
    """As many VFs as routing ids allow, and one more."""
    whole = Paper((0, 0, 0), 2047, 2047, 1, 32, bars={}, control=1)
    found = _list(answer, whole) or _room(answer, whole)
    more = whole._replace(number=2049, total=2049)
    return found or _list(answer, more) or _room(answer, more)


# -- 6. the plan

DEEP = _shape(
    _switch(
        "s1",
        _switch(
            "s2",
            _switch("s3", _switch("s4", _card("far"), _card("near")), _card("other")),
            _card("beside"),
        ),
        _card("open", acs=False),
    ),
    _card("alone"),
)
NAMES = _shape(
    _bus("zoo", _card("ape"), _card("bee", functions=3), _card("cat")),
    _switch("yard", _nic("wire", 6), _nic("cable", 1), _card("ant", functions=2)),
    _nic("air", 5),
)
FOUR = Shape(
    (_nic("home", 2),),
    (_nic("away", 2),),
    (_nic("p", 1), _nic("q", 2), _nic("r", 3)),
)


def deep_tree(answer, rng):
    """Four switches, one below the other: what is at the top decides for the lowest."""
    found = groups_of(DEEP)(answer, rng)
    wishes = (vm(1, card("far")), vm(2, card("alone")), vm(3, card("beside")))
    return found or plan_of(DEEP, *wishes)(answer, rng)


def other_names(answer, rng):
    """Names in no order, many VMs, and wishes that add up."""
    found = groups_of(NAMES)(answer, rng)
    counts = rng.sample((1, 1, 2, 2, 3, 4, 5), 7)
    vms = [vm(40 - at, net(count)) for at, count in enumerate(counts)]
    vms += [vm(3, card("bee.2")), vm(7, card("cat")), vm(1, card("ant.1")), vm(2)]
    return found or plan_of(NAMES, *vms)(answer, rng)


def three_shared(answer, rng):
    """Three cards that both roots share, and wishes that leave one way alone."""
    vms = [
        vm(1, net(2)),
        vm(2, net(3)),
        vm(3, net(2), "B"),
        vm(4, net(3), "B"),
        vm(5, net(4)),
        vm(6, net(1), "B"),
    ]
    return plan_of(FOUR, *rng.sample(vms, 6))(answer, rng)


HIDDEN = {
    "ps6.q1": (
        Case("memory of another size", larger_memory),
        Case("other domains", other_context),
        Case("the ends of pages", ends_of_pages),
    ),
    "ps6.q2": (
        Case("another domain", other_domain),
        Case("many pages", many_pages),
    ),
    "ps6.q3": (
        Case("records far up", far_records),
        Case("every reason", every_reason),
    ),
    "ps6.q4": (
        Case("tables of every size", every_size),
        Case("one bit of the source", every_source),
        Case("both forms in turn", two_forms),
    ),
    "ps6.q5": (
        Case("configuration space anywhere", odd_ecam),
        Case("as many as there can be", exactly_full),
    ),
    "ps6.q6": (
        Case("a deep tree", deep_tree),
        Case("many VMs", other_names),
        Case("three cards that are shared", three_shared),
    ),
}
