"""Several nbgrader commands in one process: python scripts/nbgrader_run.py "autograde ps01" ...

To start nbgrader takes four seconds of processor time, and most commands take less than one. So
whoever has seven problem sets runs all commands in one process, in the current folder, in order.
Each argument is what stands behind ``nbgrader`` on a command line. The first that fails ends it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SECONDS = 60
"""Seconds that one command may take."""


def run(course: Path, commands: Sequence[str]) -> None:
    """Run these commands in the folder `course`, in a child; `RuntimeError` if one fails."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), *commands],
        cwd=course,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS * len(commands),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"nbgrader failed:\n{done.stderr[-3000:]}")


def environment() -> dict[str, str]:
    """The environment for nbgrader: it looks for `alembic` on PATH, and nobody's settings apply."""
    beside = os.path.dirname(sys.executable)
    return {
        **os.environ,
        "PATH": beside + os.pathsep + os.environ.get("PATH", ""),
        "JUPYTER_NO_CONFIG": "1",
        "NO_COLOR": "1",
    }


def main(commands: Sequence[str]) -> int:
    """Run the commands here, one after the other, each as nbgrader's own application does."""
    from nbgrader.apps import (
        AutogradeApp,
        ExportApp,
        GenerateAssignmentApp,
        GenerateFeedbackApp,
    )

    apps = {
        "generate_assignment": GenerateAssignmentApp,
        "autograde": AutogradeApp,
        "generate_feedback": GenerateFeedbackApp,
        "export": ExportApp,
    }
    for command in commands:
        name, *words = shlex.split(command)
        app = apps[name].instance()
        app.initialize(words)
        app.start()
        apps[name].clear_instance()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
