"""The Node.js clients, unmodified from npm, in the versions that the lock file names."""

import os
import shutil
import subprocess

from cluster import BUILD_DIR, TIME_FACTOR

NODE_SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")


def install_node_clients():
    """The folder with them and with our scripts: in the build folder, so that the source tree stays
    clean, and a second run finds it done."""
    home = os.path.join(BUILD_DIR, "integration", "node")
    os.makedirs(home, exist_ok=True)
    for name in os.listdir(NODE_SOURCES):
        if name != "node_modules":
            shutil.copy(os.path.join(NODE_SOURCES, name), home)
    with open(os.path.join(NODE_SOURCES, "package-lock.json")) as file:
        wanted = file.read()
    stamp = os.path.join(home, "node_modules", ".installed")
    if not os.path.exists(stamp) or open(stamp).read() != wanted:
        result = subprocess.run(
            ["npm", "ci", "--ignore-scripts"], capture_output=True, timeout=240 * TIME_FACTOR, cwd=home
        )
        if result.returncode != 0:
            raise AssertionError(f"npm ci failed: {result.stderr.decode()}")
        with open(stamp, "w") as file:
            file.write(wanted)
    return home
