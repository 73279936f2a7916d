"""Tables: aligned in characters, valid in HTML, registers named."""

from xml.etree import ElementTree

from virtlab.devices.uart import REGISTERS
from virtlab.show import Table, trace_table
from virtlab.trace import Event

EVENTS = [
    Event(0, 0, "out", "uart", "port", 0x3FB, 1, 0x83),
    Event(1, 10, "out", "uart", "port", 0x3F8, 1, 0x41),
    Event(2, 20, "out", "uart", "port", 0x3FB, 1, 0x03),
    Event(3, 20, "out", "uart", "port", 0x3F8, 1, 0x41),
    Event(4, 30, "unclaimed", "", "port", 0x300, 1, 0xFF, "in: nothing answers here"),
    Event(5, 40, "irq", "uart", note="line 4"),
]


def test_a_trace_in_characters():
    assert repr(trace_table(EVENTS, registers={0x3F8: REGISTERS})) == "\n".join(
        [
            "6 events",
            "#  verb       where    value  who   meaning",
            "-  ---------  -------  -----  ----  ------------------------",
            "0  out        0x3fb/1  0x83   uart  LCR  DLAB=1 WLS=3",
            "1  out        0x3f8/1  0x41   uart  DLL  'A'",
            "2  out        0x3fb/1  0x3    uart  LCR  WLS=3",
            "3  out        0x3f8/1  0x41   uart  THR  'A'",
            "4  unclaimed  0x300/1  0xff         in: nothing answers here",
            "5  irq                        uart  line 4",
        ]
    )


def test_a_read_names_the_register_that_is_read():
    read = Event(0, 0, "in", "uart", "port", 0x3F8, 1, 0x0A)
    assert trace_table([read], registers={0x3F8: REGISTERS}).rows[0][-1] == "RBR  '\\n'"


def test_only_the_first_events_are_shown_and_the_rest_is_counted():
    table = trace_table(EVENTS, limit=2)
    assert table.caption == "the first 2 of 6 events"
    assert len(table.rows) == 2
    assert trace_table(EVENTS[:1]).caption == "1 event"
    assert trace_table(EVENTS, limit=-1).rows == ()
    assert trace_table(EVENTS, caption="What Linux did").caption == "What Linux did"


def test_time_is_a_column_on_request():
    table = trace_table(EVENTS, time=True)
    assert table.headers[1] == "time (ns)"
    assert [row[1] for row in table.rows] == ["0", "10", "20", "20", "30", "40"]


def test_the_html_is_a_table_with_a_caption_and_header_cells():
    table = Table("a < b", ("one", "two"), (("0x1", "<&>"), ("", "x\x00")))
    root = ElementTree.fromstring(table.html)
    assert root.find("caption").text == "a < b"
    assert [cell.attrib["scope"] for cell in root.iter("th")] == ["col", "col"]
    assert ["".join(cell.itertext()) for cell in root.iter("td")] == ["0x1", "<&>", "", "x␀"]
    assert table._repr_mimebundle_() == {"text/html": table.html, "text/plain": table.text}
