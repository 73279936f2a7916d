"""One JupyterLab, one browser and one page of it for all lessons; each has a kernel of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import needs
from tests.browser import harness
from virtlab.course import doctor

ROOT = Path(__file__).parents[2]
START_SECONDS = 120


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    """A copy of what a learner opens, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("course")
    leave = shutil.ignore_patterns("text", ".ipynb_checkpoints", "__pycache__")
    for name in ("notebooks", "exercises"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
    return folder


def fresh_environment(home: Path) -> dict[str, str]:
    """Nobody's own settings; and every cell is in the page, not only those in the window.

    Lesson 22 plays its recording, where nobody says otherwise: to boot Linux in it takes minutes,
    and that it does so is shown by tests of the session itself.
    """
    env = {**os.environ, "HOME": str(home)}
    env.setdefault("VIRTLAB_TIER", "recorded")
    env.pop("JUPYTER_TOKEN", None)
    for name in (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
    ):
        folder = home / name.lower()
        folder.mkdir()
        env[name] = str(folder)
    settings = Path(env["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab", "notebook-extension")
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    return env


@pytest.fixture(scope="session")
def lab(course, tmp_path_factory):
    """The real command, on the copy."""
    needs.require("Chromium")
    command = [
        sys.executable,
        "-m",
        "virtlab.course.cli",
        "lab",
        "--no-browser",
        "--port",
        "0",
        "--folder",
        str(course),
        "--",
        "--LabApp.expose_app_in_browser=True",
    ]
    process = subprocess.Popen(
        command,
        env=fresh_environment(tmp_path_factory.mktemp("home")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(START_SECONDS, process.terminate)
    watchdog.start()
    try:
        line = process.stdout.readline()
        watchdog.cancel()
        said = re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/\S+\?token=(\w+)", line)
        assert said, f"JupyterLab did not start: {line}{process.stderr.read()}"
        yield harness.Lab(said[1], said[2], course)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=30)


def driver_problem() -> str:
    """Why Playwright's own driver does not start, and what to do; empty if it does."""
    from playwright._impl._driver import compute_driver_executable

    node, _ = compute_driver_executable()
    done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)
    said = done.stderr.strip().rpartition(": error ")[2]
    advice = "sudo apt install libatomic1"
    return f"Playwright's driver does not start ({said}): {advice}" if done.returncode else ""


@contextlib.contextmanager
def chromium():
    """Debian's Chromium, driven by Playwright, for as long as the `with` lasts."""
    needs.require("Chromium")
    if problem := driver_problem():
        pytest.skip(problem)
    from playwright.sync_api import sync_playwright

    path = re.search(r"\((/.*)\)$", doctor.chromium())[1]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=list(harness.CHROMIUM), timeout=60_000
        )
        with contextlib.closing(browser):
            yield browser


@pytest.fixture(scope="session")
def browser():
    """One for all."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def browser_context(browser):
    """What the page is opened in."""
    context = browser.new_context(viewport={"width": harness.WIDTH, "height": 1000})
    context.set_default_timeout(1000 * harness.STEP_SECONDS)
    with contextlib.closing(context):
        yield context


@pytest.fixture(scope="session")
def desk(browser_context, lab):
    """The page of JupyterLab."""
    with contextlib.closing(harness.Desk(browser_context, lab)) as desk:
        yield desk


@pytest.fixture
def page(desk):
    """The page, for one lesson."""
    yield desk.page()
    desk.clear()
