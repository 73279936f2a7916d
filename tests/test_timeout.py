"""A test that takes too long ends its process and says where it was; each has all its time."""

from types import SimpleNamespace

import pytest

from tests import conftest
from tests.test_no_skip import run

SUITE = """
import pytest, threading, time
pytestmark = pytest.mark.timeout({seconds}, method={method!r})
def nap(seconds):
    time.sleep(seconds)
@pytest.mark.parametrize("n", range(3))
def test_short(n): pass
def test_the_threads(): print("threads:", [each.name for each in threading.enumerate()])
def test_long(): nap({long})
"""


def test_a_test_that_takes_too_long_ends_the_process_and_shows_where_it_was(tmp_path):
    text = SUITE.format(seconds=3, method="thread", long=50)
    done = run(tmp_path, text, "")
    assert done.returncode == 1
    assert "+ Timeout +" in done.stdout
    assert "def test_long(): nap(50)" in done.stdout
    assert "passed" not in done.stdout  # no closing line


def test_each_test_has_the_whole_time(monkeypatch):
    dog, now, bitten = conftest.Watchdog(), [100.0], []
    monkeypatch.setattr(dog, "start", lambda: None)
    monkeypatch.setattr(conftest.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(conftest.pytest_timeout, "timeout_timer", lambda *late: bitten.append(late))
    settings = SimpleNamespace(timeout=10)
    for test in ("one", "two"):
        dog.watch(test, settings)
        now[0] += 9.9
        dog.look()
    assert bitten == []
    now[0] += 0.2
    dog.look()
    dog.look()
    assert bitten == [("two", settings)]


def test_one_thread_watches_all(tmp_path):
    text = SUITE.format(seconds=60, method="thread", long=0)
    done = run(tmp_path, text, "", "-rP")
    assert "threads: ['MainThread', 'watchdog']" in done.stdout


@pytest.mark.parametrize(("long", "passed"), [(50, 4), (0, 5)])
def test_a_test_may_ask_for_the_signal_instead(long, passed, tmp_path):
    done = run(tmp_path, SUITE.format(seconds=3, method="signal", long=long), "")
    assert f"{passed} passed" in done.stdout
    assert ("Failed: Timeout" in done.stdout) == bool(long)
