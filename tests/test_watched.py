"""What coverage watches: all, but what is there for volume, and what reaches nothing new."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import sys, pytest
from hypothesis import given, strategies
watched = []

@given(strategies.integers())
def test_a_property(number):
    watched.append(sys.gettrace() is not None)

def test_its_first_examples():
    assert len(watched) == 100
    assert watched[:20] == 20 * [WITH_COVERAGE]
    assert not any(watched[20:])

@given(strategies.integers())
def test_a_property_that_fails(number):
    assert number < 50

@pytest.mark.volume
def test_rounds():
    assert sys.gettrace() is None

def test_the_next():
    assert (sys.gettrace() is not None) == WITH_COVERAGE

@pytest.fixture
def made_for_it():
    return sys.gettrace() is not None

cases = []

@pytest.mark.parametrize("case", range(14))
def test_cases_of_which_the_second_reaches_what_is_new(case, made_for_it):
    cases.append(sys.gettrace() is not None)
    assert cases[-1] == made_for_it
    if case == 1:
        import virtlab.clock

def test_two_that_reach_nothing_new_are_enough_and_later_one_in_eight_is_watched():
    assert cases == 4 * [WITH_COVERAGE] + 7 * [OF_A_PART] + [WITH_COVERAGE] + 2 * [OF_A_PART]
"""
ROOT = Path(__file__).parents[1]


def run(folder, options, with_coverage, of_a_part=False):
    """Run the suite under the project's conftest and options."""
    for name in ("tests/conftest.py", "pyproject.toml"):
        (folder / Path(name).name).write_text((ROOT / name).read_text())
    text = f"WITH_COVERAGE, OF_A_PART = {with_coverage}, {of_a_part}\n{SUITE}"
    (folder / "test_it.py").write_text(text)
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:nbval"]
    return subprocess.run(
        [*command, *options, "test_it.py"],
        cwd=folder,
        env={**env, "VIRTLAB_SLOW": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("part", "workers"),
    [("", []), ("", ["-n", "1"]), ("=virtlab", ["-n", "1"])],
    ids=["alone", "worker", "of a part"],
)
def test_coverage_watches_the_first_examples_and_cases_and_no_volume(tmp_path, part, workers):
    done = run(tmp_path, [f"--cov{part}", "--cov-report=", *workers], True, bool(part))
    assert "1 failed, 19 passed" in done.stdout, done.stdout


def test_without_coverage_nothing_is_watched(tmp_path):
    done = run(tmp_path, [], False)
    assert "1 failed, 19 passed" in done.stdout, done.stdout
