"""Tasks 5 to 7 of problem set 2: packets, disk, network card; and answers that mean to cheat."""

from random import Random

import pytest

from tests.course.answers import solutions
from tests.course.refusals import refusal
from virtlab.course import checks
from virtlab.course.answers import Answer
from virtlab.course.checks import CheckFailed, check
from virtlab.course.ps2 import machines, regions, traffic

# -- task 5: packets


def test_the_traffic_of_the_board_is_cut_by_the_librarys_own_rules():
    board = traffic.board_traffic()
    kinds = {packet.kind for packet in board.packets}
    assert kinds == {"CfgWr0", "Cpl", "MWr", "MRd", "CplD"}
    reads = [entry for entry in board.expected if board.packets[entry[0]].kind == "MRd"]
    for number, _, answers in reads:
        got = [board.packets[answer] for answer in answers]
        assert sum(packet.length for packet in got) == board.packets[number].length
        assert got[0].byte_count == board.packets[number].length
        assert got[-1].byte_count == got[-1].length
    assert max(len(entry[2]) for entry in reads) > 2


@pytest.mark.parametrize("seed", range(20))
def test_random_traffic_is_explained_by_the_solution(seed):
    made = traffic.random_traffic(Random(seed), steps=200)
    assert solutions()["transactions"](list(made.packets)) == made.expected
    tags = {packet.tag for packet in made.packets}
    assert tags == {0, 1, 2}, "few tags, so they are used again"


def test_a_request_too_few_or_too_many_is_said():
    fewer = refusal("ps2.q5", "def transactions(p): return right(p)[:-1]")
    assert "expected entry 1: (1, 'posted', []) yours 'the list ends here'" in fewer
    more = refusal("ps2.q5", "def transactions(p): return [*right(p), (99, 'posted', [])]")
    assert "expected 2 requests yours one more: (0x63, 'posted', [])" in more


# -- tasks 6 and 7: the machines


def test_no_four_bytes_of_the_disk_are_like_another_four():
    disk = machines.Numbered()
    data = disk.read(0x1234567, 3)
    assert len(data) == 3 * 512
    assert len({data[at : at + 4] for at in range(0, len(data), 4)}) == 3 * 128
    assert disk.read(0x1234568) == data[512:1024]
    assert disk.read(disk.sectors - 1) != disk.read(0)
    disk.write(0, data)
    disk.flush()
    assert disk.read(0, 3) != data


@pytest.mark.parametrize("seed", range(10))
def test_random_pieces_are_even_apart_and_whole_sectors_together(seed):
    pieces = regions.any_pieces(Random(seed), 39)
    assert sum(length for _, length in pieces) == 39 * 512
    assert all(gpa % 2 == length % 2 == 0 and length for gpa, length in pieces)
    ordered = sorted(pieces)
    ends = [gpa + length for gpa, length in ordered]
    assert all(end < gpa for end, (gpa, _) in zip(ends, ordered[1:], strict=False))
    assert ends[-1] < machines.RAM[1]


FINER = """
def prd_table(pieces):
    table, count = b"", 0
    for gpa, length in pieces:
        while length:
            count = min(length, 0x100 - gpa % 0x100)
            table += gpa.to_bytes(4, "little") + count.to_bytes(4, "little")
            gpa, length = gpa + count, length - count
    return table[:-1] + b"\\x80"
"""


def test_a_finer_table_is_as_right():
    names = {"__name__": "__main__"}
    exec(FINER, names)
    rng = Random(5)
    for _ in range(20):
        assert regions.check_table(Answer(names), regions.any_pieces(rng, 9)) is None


@pytest.mark.parametrize("value", ["None", "b''", "b'1234567'", "bytearray(8)", "[1]"])
def test_no_table_is_said(value):
    said = refusal("ps2.q6", f"def prd_table(pieces): return {value}")
    assert "entries of 8 bytes, as bytes" in said


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("pass", "BMIDTP is 0x0, not the table's address"),
        ("cpu.out(base + 4, table, 4)", "no command READ DMA, c8h, to port 0x1f7; none was given"),
        ("cpu.out(base + 4, table, 4); cpu.out(0x1f7, 0x20)", "the last: out 0x1f7/1 <- 0x20"),
        ("cpu.out(base + 4, table, 4); cpu.out(0x1f7, 0xc8)", "START, bit 0 of port 0xc000, was"),
        (
            "cpu.out(base + 4, table, 4); cpu.out(0x1f7, 0xc8); cpu.out(base, 9)",
            "out 0xc000/1 <- 0x9; then read_disk returned",
        ),
    ],
)
def test_a_report_names_the_step_that_is_missing(steps, said):
    source = f"def read_disk(cpu, base, table, sector, pieces):\n    {steps}\n    return True"
    assert said in refusal("ps2.q6", source)


def test_a_report_of_another_sector_says_what_the_drive_was_given():
    said = refusal(
        "ps2.q6", "def read_disk(cpu, b, t, s, pieces): return right(cpu, b, t, 5, pieces)"
    )
    assert "the drive was given port 0x1f2 0x1, port 0x1f3 0x5, port 0x1f4 0x0" in said


def test_the_first_wrong_byte_is_named_in_either_part_of_memory():
    machine = machines.Machine()
    expected = machine.ram.bytes.copy()
    assert machine.changed(expected) is None
    machine.ram.write(0x1_0000_0010, b"x")
    assert machine.changed(expected) == 0x1_0000_0010
    machine.ram.write(0x77, b"x")
    assert machine.changed(expected) == 0x77


def test_a_late_card_keeps_the_tail_and_sends_later():
    machine = machines.CardMachine(delay=1000)
    names = solutions()
    names["open_ring"](machine.cpu, machines.CARD, 0x10000, 8)
    frame = bytes(range(64))
    names["send"](machine.cpu, machines.CARD, 0x10000, 8, 0x20000, frame)
    assert machine.frames == [frame]
    machine.cpu.store(machines.CARD + 0x3818, 2)
    assert machine.cpu.load(machines.CARD + 0x3818) == 2
    assert machine.card.TDH == 1


def test_a_report_says_how_many_frames_came():
    said = refusal("ps2.q7", "def send(*a): pass")
    assert "expected frame 0, 60 bytes: 52 54 00" in said
    assert "yours 0 frames came" in said
    assert "look at the buffer is yours again when DD" in said


def test_a_frame_sent_twice_is_said():
    said = refusal("ps2.q7", "def send(*a): right(*a), right(*a)")
    assert "yours one more: frame 1" in said


# -- answers that mean to cheat


ALWAYS = """
class Always:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 0
    def __iter__(self): return iter(())
    def __getattr__(self, name): return Always()
"""


@pytest.mark.parametrize("value", ["Always()", "None", "[]", "()", "True", "0", "b''", "'x'"])
@pytest.mark.parametrize("task", [f"ps2.q{number}" for number in range(1, 8)])
def test_no_constant_and_no_always_equal_object_passes(task, value):
    source = ALWAYS + "".join(
        f"\ndef {name}(*a): return {value}" for name in checks.TASKS[task].names
    )
    names = {"__name__": "__main__"}
    exec(source, names)
    with pytest.raises(CheckFailed) as failed:
        check(task, seed=7, namespace=names)
    found = failed.value.report
    assert len(found.passed) < len(found.task.cases) / 2


def test_a_second_missing_function_is_said():
    names = {"config_address": solutions()["config_address"]}
    with pytest.raises(CheckFailed, match="there is no ecam_offset here yet"):
        check("ps2.q1", namespace=names)
