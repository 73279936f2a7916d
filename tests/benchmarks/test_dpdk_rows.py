"""The row that needs DPDK: what it starts, what it makes of the answers, what it says without."""

from statistics import median

import pytest

from benchmarks import __main__ as command
from benchmarks import compiler, dpdk_rows
from benchmarks.dpdk_rows import MACS, DpdkDuel, Silent, rate_of, rows
from benchmarks.harness import measure
from virtlab.course.serve_options import part_of

REPORT = """
Port statistics ====================================
  ######################## NIC statistics for port 0  ########################
  RX-packets: 1000       RX-missed: 0          RX-bytes:  60000
  Rx-pps:       {}          Rx-bps:        1024
  Tx-pps:       99          Tx-bps:        1024
"""


def reports(*rates):
    return "".join(map(REPORT.format, rates))


def test_both_ports_are_added_and_the_first_second_is_not_looked_at():
    assert rate_of(reports(7, 8, 100, 20, 300, 20, 100, 60)) == 160


def test_no_more_is_read_than_is_needed():
    lines = iter(reports(*range(8)).splitlines(keepends=True))
    assert rate_of(dpdk_rows.enough_of(lines)) == median([2 + 3, 4 + 5])
    assert "Rx-pps:       6" in "".join(lines)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "said nothing"),
        (reports(5, 5), "Tx-pps"),
        (reports(5, 5, 0, 0), "Tx-pps"),
        ("EAL: no\nCause: out of memory\n", "^Cause: out of memory$"),
    ],
)
def test_no_figure_is_no_zero(said, why):
    with pytest.raises(Silent, match=why):
        rate_of(said)


def test_ours_is_a_line_that_virtlab_serve_takes(tmp_path):
    words = dpdk_rows.ours([tmp_path / "one", tmp_path / "two"])
    options = part_of(words[words.index("net") :])
    assert options.socket == [str(tmp_path / "one"), str(tmp_path / "two")]
    # The second card has the address that follows.
    assert options.mac == bytes.fromhex(MACS[0].replace(":", ""))
    assert int(MACS[1][-2:], 16) == int(MACS[0][-2:], 16) + 1


def test_the_ratio_is_of_rates(monkeypatch):
    rates = {"serve": 500_000, "back": 5_000_000}
    monkeypatch.setattr(dpdk_rows, "NOTES", [])
    monkeypatch.setattr(dpdk_rows, "theirs", lambda sockets: ["back"])
    started = []

    class Running:
        def __init__(self, words, sockets):
            started.append("serve" if "serve" in words else "back")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(dpdk_rows, "running", Running)
    monkeypatch.setattr(dpdk_rows, "received", lambda sockets: rates[started[-1]])
    (row,) = rows(compiler.FLAGS)
    result = measure(row, rounds=3)
    assert result.ratio == pytest.approx(0.1)
    assert result.met
    assert set(started) == {"serve", "back"}
    assert dpdk_rows.NOTES == ["dpdk: 0.50 million packets a second; DPDK's vhost: 5.00"]


def test_a_back_end_that_ends_is_an_error(tmp_path):
    back_end = dpdk_rows.running(["false"], [tmp_path / "none"])
    with pytest.raises(Silent, match="false does not listen"), back_end:
        pass


def test_without_dpdk_it_says_in_one_line_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(dpdk_rows, "PROGRAM", "no-such-testpmd")
    monkeypatch.setattr(command, "pin", lambda: None)
    with pytest.raises(FileNotFoundError, match="librte-net-virtio23"):
        DpdkDuel().twin()
    assert command.main(["--rows", "dpdk"]) == 2
    assert "sudo apt install dpdk-dev" in capsys.readouterr().err
