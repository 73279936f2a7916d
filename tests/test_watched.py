"""What coverage watches: all, but the later examples of a property and what is there for volume."""

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
"""
ROOT = Path(__file__).parents[1]


def run(folder, options, with_coverage):
    """Run the suite under the project's conftest and options."""
    for name in ("tests/conftest.py", "pyproject.toml"):
        (folder / Path(name).name).write_text((ROOT / name).read_text())
    text = f"WITH_COVERAGE = {with_coverage}\n{SUITE}"
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


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "worker"])
def test_coverage_watches_the_first_examples_and_no_volume(tmp_path, workers):
    done = run(tmp_path, ["--cov", "--cov-report=", *workers], True)
    assert "1 failed, 4 passed" in done.stdout, done.stdout


def test_without_coverage_nothing_is_watched(tmp_path):
    done = run(tmp_path, [], False)
    assert "1 failed, 4 passed" in done.stdout, done.stdout
