"""Binder's files agree with each other and with the project."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"


def test_the_requirements_install_the_project_with_its_pins():
    lines = (BINDER / "requirements.txt").read_text().split("\n")
    # pip takes -c from the requirements file's folder, and -e from where it runs: the checkout
    assert lines == ["-c ../constraints.txt", "-e .", ""]
    assert (BINDER / "../constraints.txt").resolve() == ROOT / "constraints.txt"
    assert (ROOT / "constraints.txt").is_file()
    assert (ROOT / "pyproject.toml").is_file()


def test_the_python_is_one_that_the_project_supports():
    major, minor = re.fullmatch(
        r"python-(\d+)\.(\d+)\n", (BINDER / "runtime.txt").read_text()
    ).groups()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = re.fullmatch(r">=(\d+)\.(\d+)", project["requires-python"]).groups()
    assert (int(major), int(minor)) >= tuple(map(int, oldest))


def test_the_packages_are_names():
    names = (BINDER / "apt.txt").read_text().split()
    assert {"qemu-system-x86", "busybox-static", "e2fsprogs"} <= set(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)


@pytest.mark.parametrize("script", ["binder/postBuild", "binder/start", ".ci/run"])
def test_scripts_are_executable_and_parse(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True, timeout=20)


def test_the_first_page_is_a_lesson_that_exists():
    text = (BINDER / "postBuild").read_text()
    (page,) = re.findall(r'"default_url": "/lab/tree/([^"]+)"', text)
    assert (ROOT / page).is_file()
    assert Path(page).name.startswith("00_")
    readme = (ROOT / "README.md").read_text()
    for linked in re.findall(r"urlpath=lab/tree/([\w./-]+)", readme.replace("%2F", "/")):
        assert linked == page


def test_without_a_linux_the_build_goes_on():
    """The lesson has recordings for that; the line stands under `set -e`."""
    (line,) = re.findall(r"^.*scripts/linux\.py.*$", (BINDER / "postBuild").read_text(), re.M)
    script = f"set -euo pipefail\npython3() {{ return 1; }}\n{line}\necho went on"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "went on"


@pytest.mark.parametrize("there", [True, False])
def test_what_is_started_finds_the_linux_that_was_unpacked(tmp_path, there):
    """The folder is the one that postBuild fills."""
    assert "scripts/linux.py build/linux" in (BINDER / "postBuild").read_text()
    (tmp_path / "binder").mkdir()
    shutil.copy(BINDER / "start", tmp_path / "binder" / "start")
    if there:
        (tmp_path / "build" / "linux").mkdir(parents=True)
    environment = {name: text for name, text in os.environ.items() if name != "VIRTLAB_LINUX"}
    done = subprocess.run(
        [tmp_path / "binder" / "start", "printenv", "VIRTLAB_LINUX"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == (f"{tmp_path}/build/linux\n" if there else "")
    assert done.returncode == (0 if there else 1)


def test_ci_unpacks_a_linux_and_says_where():
    """As Binder does; but there it must be there."""
    text = (ROOT / ".ci" / "run").read_text()
    (block,) = re.findall(r"^if \[\[ -z \$\{VIRTLAB_LINUX.*?^fi$", text, re.M | re.S)
    asked = 'set -euo pipefail\npython3() { echo "$@"; return $STATUS; }\n'
    for status in ("0", "1"):
        done = subprocess.run(
            ["bash", "-c", f'{asked}{block}\necho "$VIRTLAB_LINUX"'],
            env={"PATH": os.environ["PATH"], "STATUS": status},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
        )
        folder = f"{ROOT}/build/linux"
        lines = [f"scripts/linux.py {folder}", folder]
        assert done.stdout.splitlines() == (lines if status == "0" else lines[:1])
        assert done.returncode == int(status)
