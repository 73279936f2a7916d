"""Runs a module of the tests in a Python of its own, which then pretends to be another system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_module(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.NAME ...`: its status and what it says. No reader's progress is touched."""
    return subprocess.run(
        [sys.executable, "-m", f"tests.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "agg", "VIRTLAB_PROGRESS": "off"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
