"""The presenter view in a browser: it can be read from the last row, and prose comes and goes.

One small lesson is looked at; with `VIRTLAB_SLOW=1` five real ones are, their controls pressed, at
two sizes of a window.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.course.test_present import ROOT, course

SIZES = ((1280, 720), (1920, 1080))

SMALL = """() => {
  const least = innerHeight / 40 - 0.3, found = [];
  const walker = document.createTreeWalker(document.querySelector('.jp-Notebook'),
    NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 2) continue;
    let scale = 1;
    if (element.closest('svg')) scale = element.getScreenCTM().a;
    else for (let up = element; up; up = up.parentElement)
      scale *= parseFloat(getComputedStyle(up).zoom) || 1;
    const size = scale * parseFloat(getComputedStyle(element).fontSize);
    if (size < least) found.push(`small, ${size}: ${node.textContent.slice(0, 40)}`);
    if (box.left < -1 || box.right > innerWidth + 1)
      found.push(`cut off, ${box.left} to ${box.right}: ${node.textContent.slice(0, 40)}`);
  }
  for (const image of document.querySelectorAll('.jp-RenderedSVG img')) {
    const size = 14 * image.getBoundingClientRect().width / image.naturalWidth;
    if (size < least) found.push(`small, ${size}: ${decodeURIComponent(image.src).slice(0, 400)}`);
  }
  return [...new Set(found)];
}"""
SEEN = """() => {
  const picture = document.querySelector('.jp-RenderedSVG img').getBoundingClientRect();
  return {
    prose: [...document.querySelectorAll('.vl-prose')].map(node => node.checkVisibility()),
    high: picture.height,
  };
}"""


@contextlib.contextmanager
def presented(folder, home):
    """The command on a course: its address and its token."""
    from tests.browser.conftest import fresh_environment

    home.mkdir()
    words = ["--present", "--no-browser", "--port", "0", "--folder", str(folder)]
    more = ["--", "--LabApp.expose_app_in_browser=True"]
    process = subprocess.Popen(
        [sys.executable, "-m", "virtlab.course.cli", "lab", *words, *more],
        env=fresh_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        line = process.stdout.readline()
        yield re.search(r"(http://127\.0\.0\.1:\d+)/doc/tree/\S+\?token=(\w+)", line).groups()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)


@contextlib.contextmanager
def browsing():
    """Chromium, with the questions of the browser tests in each page."""
    from tests.browser import conftest, harness

    with conftest.chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        for script in harness.SCRIPTS:
            context.add_init_script(path=script)
        yield context


def opened(context, server, name):
    """A page of the presenter view with a lesson that was run."""
    from tests.browser import harness

    address, token = server
    page = context.new_page()
    page.goto(f"{address}/doc/tree/notebooks/{name}?token={token}&reset", timeout=60_000)
    page.wait_for_function("() => window.virtlab?.loaded()", timeout=60_000)
    harness.ask(page, "started()", 60)
    harness.ask(page, f"open({json.dumps('notebooks/' + name)})", 60)
    harness.ask(page, "run()", 100)
    return page


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_in_a_browser_type_is_large_and_prose_comes_and_goes(tmp_path):
    from tests.browser import harness

    folder = course(tmp_path / "course")
    with browsing() as context, presented(folder, tmp_path / "home") as server:
        page = opened(context, server, "00_who.ipynb")
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            harness.ask(page, "settle()")
            assert page.evaluate(SMALL) == []
        seen = page.evaluate(SEEN)
        assert len(seen["prose"]) == 5
        assert not any(seen["prose"])
        for words in ("Claim: so it is.", "This stays."):
            assert page.locator(".jp-RenderedMarkdown").get_by_text(words).is_visible()
        page.keyboard.press("F8")
        page.wait_for_function("() => document.querySelector('.vl-prose').checkVisibility()")
        assert all(page.evaluate(SEEN)["prose"])
        page.get_by_role("button", name="Prose").click()
        page.wait_for_function("() => !document.querySelector('.vl-prose').checkVisibility()")
        page.set_viewport_size({"width": 1280, "height": 300})
        assert page.evaluate(SEEN)["high"] > 300
        page.keyboard.press("F4")
        page.wait_for_function("() => document.querySelector('#main.jp-mod-presentationMode')")
        assert page.evaluate(SEEN)["high"] < 300
        assert harness.press_everything(page) == ([], 7)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_in_a_browser_lessons_can_be_read_from_the_last_row_and_pressed(tmp_path):
    from tests.browser import harness

    with browsing() as context, presented(ROOT, tmp_path / "home") as server:
        for number in ("00", "04", "14", "19", "21"):
            (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
            page = opened(context, server, path.name)
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                harness.ask(page, "settle()")
                assert page.evaluate(SMALL) == [], path.name
            problems, pressed = harness.press_everything(page)
            assert problems == []
            assert pressed > 10
            harness.ask(page, "close()", 60)
            page.close()
