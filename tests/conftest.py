"""Nothing is skipped in silence, and property tests are the same on every run.

A skip says by name what is missing and how to get it. With ``VIRTLAB_NO_SKIP=1``, as in CI, it is
a failure, unless the machine's own hardware is what is missing. With ``VIRTLAB_SLOW=1`` Hypothesis
looks at ten times as many examples, and the tests marked `long` run too; they are the same as their
neighbours, with ten times the work.

Coverage watches on request only (`make coverage`): it makes Python two or three times as slow. The
tests marked `volume`, many rounds of one kind, are left out of it.

A test that takes too long ends its process. One thread watches all of them: pytest-timeout's own
way, a thread for each test, cost more than most tests do.
"""

from __future__ import annotations

import gc
import os
import threading
import time

import hypothesis
import pytest
import pytest_timeout

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


def pytest_collection_modifyitems(config, items) -> None:
    """Leave out the `long` tests, unless they are asked for."""
    left_out = [item for item in items if item.get_closest_marker("long") and not SLOW]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


SETTLED = 200
"""After so many tests, what the garbage collector has left alive counts as here to stay."""

done = 0
"""How many tests this process has run."""


def settle() -> None:
    """Let the garbage collector never look again at what is alive now: it stays to the end.

    Each test leaves some hundred objects: what pytest keeps of it. Else every full collection goes
    through all of them, and after ten thousand tests it takes a fifth of a second.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_finish(session) -> None:
    """The tests themselves stay."""
    settle()


def pytest_runtest_logfinish() -> None:
    """What pytest keeps of a test stays."""
    global done
    done += 1
    if done % SETTLED == 0:
        settle()


class Watchdog(threading.Thread):
    """Looks now and then whether the test that runs is late; then it lets pytest-timeout bite."""

    SECONDS = 0.5  # between two looks

    def __init__(self) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.watched: tuple | None = None

    def watch(self, item, settings) -> None:
        """From now on this test runs."""
        self.watched = (time.monotonic() + settings.timeout, item, settings)
        if not self.is_alive():
            self.start()

    def look(self) -> None:
        """End the process if the test is late."""
        watched = self.watched
        if watched and watched[0] < time.monotonic():
            self.watched = None
            pytest_timeout.timeout_timer(*watched[1:])

    def run(self) -> None:
        """Until the process ends."""
        while True:
            time.sleep(self.SECONDS)
            self.look()


watchdog = Watchdog()


def pytest_timeout_set_timer(item, settings):
    """Instead of a thread for each test; a test that asks for the signal gets it."""
    if settings.method == "signal":
        return None
    watchdog.watch(item, settings)
    return True


def pytest_timeout_cancel_timer(item) -> None:
    """The test is done; None, because what pytest-timeout itself set must be cancelled too."""
    watchdog.watched = None


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
