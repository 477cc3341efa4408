"""Scripts for Node that use packages from npm: installed once into a folder outside the repository, then kept.

    done = run_node(SCRIPT, "@cosmicjs/sdk@1.8.0", url="http://127.0.0.1:8000")     # what the script printed, as JSON

A test is skipped where Node or npm is missing, or the registry cannot be reached and nothing is kept from before.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

KEPT = "COSMOS_ROBOT_NPM_CACHE"
"""Environment variable: folder for the packages; without it one in the system's folder for temporary files."""

_INSTALL_SECONDS = 120


def run_node(script, package, *, seconds=60, **given):
    """Run an ES module in which `given` holds the keywords, and read what it prints as JSON.

    Args:
        script: text of the module.
        package: that it imports, with its version.
        seconds: for the whole script.
        given: anything that JSON holds.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    folder = _installed(package)
    with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=folder, encoding="utf-8") as file:
        file.write(f"const given = {json.dumps(given)};\n{script}")
        file.flush()
        ended = subprocess.run(
            [node, file.name], check=False, capture_output=True, text=True, timeout=seconds, env=_environment()
        )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _installed(package):
    """The folder in which a package is installed."""
    root = Path(os.environ.get(KEPT, Path(tempfile.gettempdir()) / f"cosmos-robot-npm-{os.getuid()}"))
    folder = root / hashlib.sha256(package.encode()).hexdigest()[:16]
    if (folder / "done").exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", package]
    try:
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {package} in {_INSTALL_SECONDS} s")
    if ended.returncode != 0:
        pytest.skip(f"npm cannot install {package}: {ended.stderr[-300:]}")
    (folder / "done").touch()
    return folder


def _environment():
    """Without proxies: the server is on this machine."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
