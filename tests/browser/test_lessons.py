"""Each lesson in a real browser: it runs, every control of every widget works, nothing is blank."""

from pathlib import Path

import pytest

from tests.browser import harness

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
PICTURES = ROOT / "build" / "screenshots"

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_and_its_widgets_work(lesson, page):
    for old in PICTURES.glob(f"{lesson}*.png"):
        old.unlink()
    problems, _ = harness.take(page, f"notebooks/{lesson}.ipynb", PICTURES)
    assert problems == []
    assert (PICTURES / f"{lesson}.png").exists() or (PICTURES / f"{lesson}-1.png").exists()
