"""The rule that nothing is skipped in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest
def test_one(): pytest.skip("Widget is missing: apt install widget")
@pytest.mark.skipif(True, reason="no moon")
def test_two(): pass
@pytest.mark.xfail(reason="known")
def test_three(): assert False
def test_four(): pass
"""
WHOLE_FILE = 'import pytest\npytest.importorskip("no_such_module_here")\n'


def run(folder: Path, text: str, no_skip: str, *options: str) -> subprocess.CompletedProcess:
    """Run a small suite under the project's conftest."""
    conftest = Path(__file__).with_name("conftest.py").read_text()
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", *options),
            *("-p", "no:cacheprovider", "-p", "no:nbval", "test_it.py"),
        ],
        cwd=folder,
        env={**os.environ, "VIRTLAB_NO_SKIP": no_skip},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_skip_is_listed_with_how_to_get_it(tmp_path):
    done = run(tmp_path, SUITE, "")
    assert done.returncode == 0
    assert "test_it.py::test_one: Widget is missing: apt install widget" in done.stdout
    assert "test_it.py::test_two: no moon" in done.stdout
    assert "1 passed, 2 skipped, 1 xfailed" in done.stdout


def test_a_skip_fails_where_nothing_may_be_skipped(tmp_path):
    done = run(tmp_path, SUITE, "1")
    assert done.returncode == 1
    assert "Widget is missing: apt install widget" in done.stdout
    assert "no moon" in done.stdout
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in done.stdout  # an error: while setting up


def test_hardware_that_is_not_here_may_be_skipped(tmp_path):
    text = 'import pytest\ndef test_it(): pytest.skip("not in this machine: KVM is missing")\n'
    done = run(tmp_path, text, "1")
    assert done.returncode == 0
    assert "test_it.py::test_it: not in this machine: KVM is missing" in done.stdout


@pytest.mark.parametrize(("no_skip", "status"), [("", 5), ("1", 2)])
def test_a_file_skipped_as_a_whole_counts_too(tmp_path, no_skip, status):
    done = run(tmp_path, WHOLE_FILE, no_skip)
    assert done.returncode == status
    assert "no_such_module_here" in done.stdout


@pytest.mark.parametrize(("slow", "passed"), [("", "1 passed, 1 deselected"), ("1", "2 passed")])
def test_a_long_test_runs_when_it_is_asked_for(slow, passed, tmp_path, monkeypatch):
    """Left out, it is no skip: its neighbour proves the same with less work."""
    monkeypatch.setenv("VIRTLAB_SLOW", slow)
    text = "import pytest\n@pytest.mark.long\ndef test_a(): pass\ndef test_b(): pass\n"
    done = run(tmp_path, text, "1")
    assert done.returncode == 0
    assert passed in done.stdout
