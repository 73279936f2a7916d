"""Make .venv and install virtlab into it. Run as: python3 scripts/bootstrap.py [--extras test,x86]

Only the standard library is used, and an old Python must still be able to parse this file, so
that it can say in one line what is wrong. A stamp in .venv remembers what was installed: when
nothing has changed, this ends in a tenth of a second.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
NETWORK_SIGNS = (
    "connection refused",
    "connection reset",
    "connectionerror",
    "connect error",
    "dns error",
    "error sending request",
    "name or service not known",
    "network is unreachable",
    "newconnectionerror",
    "name resolution",
    "no route to host",
    "nodename nor servname",
    "proxyerror",
    "readtimeout",
    "timed out",
)


class Stop(Exception):
    """What went wrong and what to do, in one line."""


def check_version(version=None):
    """Stop if this Python is too old."""
    version = tuple(version or sys.version_info)
    if version[:2] < OLDEST:
        raise Stop(
            "virtlab needs Python 3.11 or newer; this is {0}. "
            "Install a newer one and run: make lab PYTHON=python3.12".format(
                ".".join(str(part) for part in version[:3])
            )
        )


def has_module(name):
    """Whether this Python has a module of that name, without importing it."""
    import importlib.util

    return importlib.util.find_spec(name) is not None


def venv_bin(venv, name):
    """Path of a program inside a virtual environment."""
    if os.name == "nt":
        return os.path.join(venv, "Scripts", name + ".exe")
    return os.path.join(venv, "bin", name)


def fingerprint(root):
    """Hash of all that decides what is installed: where, and from which two files."""
    digest = hashlib.sha256(root.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(b"\0" + file.read())
    return digest.hexdigest()


def read_stamp(venv):
    """What the last complete run installed: {"hash": str, "extras": [str]}; {} when unknown."""
    try:
        with open(os.path.join(venv, "virtlab-stamp.json")) as file:
            stamp = json.load(file)
        return stamp if isinstance(stamp, dict) else {}
    except (OSError, ValueError):
        return {}


def write_stamp(venv, stamp):
    """Remember a complete run."""
    with open(os.path.join(venv, "virtlab-stamp.json"), "w") as file:
        json.dump(stamp, file)


def up_to_date(root, venv, extras):
    """Whether .venv holds all that is asked for."""
    stamp = read_stamp(venv)
    return (
        stamp.get("hash") == fingerprint(root)
        and set(extras) <= set(stamp.get("extras", ()))
        and os.path.exists(venv_bin(venv, "python"))
    )


def find_uv(venv):
    """Path of uv, much faster than pip, or None."""
    inside = venv_bin(venv, "uv")
    return inside if os.path.exists(inside) else shutil.which("uv")


def usable(python):
    """Whether a virtual environment's Python runs and is new enough."""
    code = "import sys; sys.exit(sys.version_info < {0!r})".format(OLDEST)
    try:
        return subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL, timeout=30) == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def make_venv(venv):
    """Make the virtual environment, unless a usable one is there."""
    if usable(venv_bin(venv, "python")):
        return
    uv = shutil.which("uv")
    if has_module("venv") and has_module("ensurepip"):
        command = [sys.executable, "-m", "venv", "--clear", venv]
    elif uv:
        command = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, venv]
    else:
        raise Stop(
            "This Python ({0}) has no venv module. On Debian or Ubuntu run: "
            "sudo apt install python3-venv. Then run the same command again.".format(sys.executable)
        )
    run(command, venv, "make the virtual environment {0}".format(os.path.basename(venv)))


def install(root, venv, extras):
    """Install the project in place, with uv where it is found and pip else."""
    uv = find_uv(venv)
    target = "." + ("[{0}]".format(",".join(extras)) if extras else "")
    wanted = ["-c", "constraints.txt", "-e", target]
    python = venv_bin(venv, "python")
    if uv:
        command = [uv, "pip", "install", "--python", python]
    else:
        command = [
            python,
            "-m",
            "pip",
            "install",
            "--retries",
            "2",
            "--disable-pip-version-check",
            "--no-input",
        ]
    say(
        "Installing into .venv with {0} (once; {1}) ...".format(
            "uv" if uv else "pip", "a few seconds" if uv else "a minute or two"
        )
    )
    run(command + wanted, venv, "install the dependencies", root)


def run(command, venv, what, cwd=None):
    """Run one command quietly; its output goes to a log that is only named when it fails."""
    try:
        done = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        output = done.communicate()[0].decode("utf-8", "replace")
    except OSError as error:
        raise Stop("Could not {0}: {1}".format(what, error))
    if done.returncode:
        raise Stop(explain(what, output, keep_log(venv, output)))


def keep_log(venv, output):
    """Write a failed command's output where it can be read; return the file's name."""
    folder = venv if os.path.isdir(venv) else os.path.dirname(venv)
    log = os.path.join(folder, "virtlab-install.log")
    with open(log, "wb") as file:
        file.write(output.encode("utf-8"))
    return os.path.relpath(log, os.path.dirname(venv))


def explain(what, output, log):
    """One line for a failed command: no network is told from everything else."""
    low = output.lower()
    if any(sign in low for sign in NETWORK_SIGNS):
        return (
            "Could not {0}: the package index cannot be reached. Connect this machine to a "
            "network and run the same command again (log: {1})".format(what, log)
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return "Could not {0}: {1} (log: {2})".format(what, lines[-1] if lines else "no output", log)


def say(text):
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Make .venv and install virtlab into it.",
        epilog="example: python3 scripts/bootstrap.py --extras test,grading,x86",
    )
    parser.add_argument("--extras", default="", help="extras to install, separated by commas")
    parser.add_argument("--venv", default=os.path.join(ROOT, ".venv"), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def bootstrap(root, venv, extras):
    """Bring .venv up to date; True if there was something to do."""
    if up_to_date(root, venv, extras):
        return False
    extras = sorted(set(extras) | set(read_stamp(venv).get("extras", ())))
    make_venv(venv)
    install(root, venv, extras)
    write_stamp(venv, {"hash": fingerprint(root), "extras": extras})
    return True


def main(argv=None):
    """Exit status: 0 ready, 1 could not be done, 130 interrupted."""
    try:
        check_version()
        options = parse(argv)
        extras = [name for name in options.extras.split(",") if name]
        bootstrap(ROOT, os.path.abspath(options.venv), extras)
    except Stop as stop:
        sys.stderr.write("{0}\n".format(stop))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
