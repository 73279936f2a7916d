"""Nothing is skipped in silence, and property tests are the same on every run.

A skip says by name what is missing and how to get it. With ``VIRTLAB_NO_SKIP=1``, as in CI, it is
a failure, unless the machine's own hardware is what is missing. With ``VIRTLAB_SLOW=1`` Hypothesis
looks at ten times as many examples, and the tests marked `long` run too; they are the same as their
neighbours, with ten times the work.

To be watched line by line, as coverage does, makes Python two or three times as slow. What shows
nothing new is not watched:

    a test marked `volume`           it is there for many rounds of one kind
    the examples of a property       after the first `WATCHED`
    the cases of one test function   after `QUIET` in a row that reached no new line or branch; of
                                     those that follow, one in `AGAIN` is looked at again

Each runs all the same, and the figure that coverage gives can only be lower. Where a part of the
library is watched alone, as with ``--cov=virtlab/course``, watching costs little: each case is.
"""

from __future__ import annotations

import functools
import gc
import os

import coverage
import hypothesis
import pytest

hypothesis.settings.register_profile(
    "fast", derandomize=True, deadline=None, max_examples=100, print_blob=False
)
hypothesis.settings.register_profile(
    "slow",
    derandomize=True,
    deadline=None,
    max_examples=1000,
    print_blob=False,
    suppress_health_check=list(hypothesis.HealthCheck),
)
SLOW = os.environ.get("VIRTLAB_SLOW") == "1"
hypothesis.settings.load_profile("slow" if SLOW else "fast")


WATCHED = 20
"""Examples of a property that are watched line by line."""

QUIET = 2
"""Cases in a row that reach nothing new, after which a function's other cases are not watched."""

AGAIN = 8
"""One in so many of those is, and what it finds begins the count anew."""


def pytest_collection_modifyitems(config, items) -> None:
    """Leave out the `long` tests, unless they are asked for."""
    left_out = [item for item in items if item.get_closest_marker("long") and not SLOW]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session) -> None:
    """The tests themselves stay to the end: the garbage collector need not look at them again."""
    gc.collect()
    gc.freeze()


class Watcher:
    """What coverage watches of one test: nothing where there is no coverage."""

    def __init__(self, config) -> None:
        plugin = config.pluginmanager.getplugin("_cov")
        self.coverage = plugin.cov_controller if plugin else None
        self.whole = bool(plugin) and not self.coverage.cov_source
        self.paused = False

    def reached(self) -> int:
        """How many lines and branches this process has reached, as far as they were watched."""
        if not self.coverage:
            return 0
        # Coverage's own table, from file to what it reached: to ask `get_data` would write a file.
        return sum(map(len, self.coverage.cov._collector.data.values()))

    def pause(self) -> None:
        """Stop watching. Under the worker's own coverage lies that of any process of ours."""
        if self.coverage and not self.paused:
            self.coverage.pause()
            self.paused = True
            while below := coverage.Coverage.current():
                below.stop()

    def resume(self) -> None:
        """Watch again."""
        if self.paused:
            self.coverage.resume()
            self.paused = False


def counted(test, watcher):
    """A property's test that is watched for its first examples."""
    examples = 0

    @functools.wraps(test)
    def example(*args, **kwargs):
        nonlocal examples
        examples += 1
        if examples > WATCHED:
            watcher.pause()
        return test(*args, **kwargs)

    return example


WATCHER = pytest.StashKey[Watcher]()

quiet: dict[str, int] = {}
"""Of each test function: how many of its cases, one after the other, have reached nothing new."""


def is_quiet(function: str) -> bool:
    """Whether the next case of this function is one of those that are not watched."""
    more = quiet.get(function, 0) - QUIET
    return more >= 0 and more % AGAIN != AGAIN - 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Watch a test, with what is made for it, only where that may show something new."""
    watcher = item.stash[WATCHER] = Watcher(item.config)
    function = item.nodeid.partition("[")[0]
    before = watcher.reached()
    if item.get_closest_marker("volume") or (watcher.whole and is_quiet(function)):
        watcher.pause()
    try:
        return (yield)
    finally:
        quiet[function] = 0 if watcher.reached() > before else quiet.get(function, 0) + 1
        watcher.resume()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Watch the first examples of a property."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        return (yield)
    test = handle.inner_test
    handle.inner_test = counted(test, item.stash[WATCHER])
    try:
        return (yield)
    finally:
        handle.inner_test = test


NOT_HERE = "not in this machine: "
"""How the reason of a skip begins that no installation can avoid."""


def skipping_fails() -> bool:
    """Whether this machine promises to have everything."""
    return os.environ.get("VIRTLAB_NO_SKIP") == "1"


def reason(report) -> str:
    """Why a test was skipped."""
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def fail_if_skipped(report) -> None:
    """Turn a skip, but not an expected failure, into a failure."""
    if report.skipped and skipping_fails() and not hasattr(report, "wasxfail"):
        said = reason(report)
        if said.startswith(NOT_HERE):
            return
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped here (VIRTLAB_NO_SKIP=1), but: {said}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A skipped test."""
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A file skipped as a whole."""
    report = yield
    fail_if_skipped(report)
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """List what was skipped, by name."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("skipped, and how to get what is missing")
        for report in skipped:
            terminalreporter.write_line(f"{report.nodeid}: {reason(report)}")
