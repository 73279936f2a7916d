"""Each lesson in a real browser: it runs, every control works, nothing is blank, nobody kept out.

That is: axe finds nothing serious in what a lesson shows after its controls were pressed, and no
picture changes in its colours alone.

A lesson that fails leaves pictures in `build/screenshots`. Whoever changes a lesson looks at it::

    VIRTLAB_SLOW=1 .venv/bin/python -m pytest tests/browser/test_lessons.py -k 13_virtqueue
"""

from pathlib import Path

import pytest

from tests.browser import harness

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
SETS = sorted(path.stem for path in (ROOT / "exercises").glob("*/ps??.ipynb"))
PICTURES = ROOT / "build" / "screenshots"

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_and_its_widgets_work(lesson, page):
    for old in PICTURES.glob(f"{lesson}*.png"):
        old.unlink()
    problems, _ = harness.take(page, f"notebooks/{lesson}.ipynb", PICTURES)
    assert problems == []
    assert bool(list(PICTURES.glob(f"{lesson}*.png"))) == harness.SLOW


@pytest.mark.parametrize("name", SETS)
def test_a_problem_set_can_be_read_by_everybody(name, page):
    harness.ask(page, f"open('exercises/{name}/{name}.ipynb')", harness.OPEN_SECONDS)
    assert harness.audit(page) == []
