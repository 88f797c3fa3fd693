"""Checks the rules of the source tree that no compiler knows.

    check_tree.py ROOT [--server PATH [--optimized]]

Who may include whom, how long a file may be, words that mean unfinished work, and that the documents
tell what the program does. With --server, docs/commands.md is compared with what that program prints,
and with --optimized, its walk over the dataset must fetch memory ahead.
"""

import argparse
import os
import platform
import re
import subprocess
import sys

LINES_MAX = 650
SOURCE_FOLDERS = ("raft", "resp", "storage", "server", "client", "tests", "scripts")
CODE = (".h", ".cc")
# Text that people write; lock files and pictures are not judged.
WRITTEN = CODE + (".py", ".sh", ".js", ".cmake", ".txt", ".md", ".yml")

# Folder -> what its files may include of the project. The longest folder that fits decides.
MAY_INCLUDE = {
    "raft": ("raft/",),
    "resp": ("resp/",),
    "storage": ("storage/", "raft/"),
    "storage/data": ("storage/data/",),
    "storage/disk": ("storage/disk/",),
    "storage/log": ("storage/log/", "storage/disk/", "raft/"),
    "storage/snapshot": (
        *("storage/snapshot/", "storage/data/", "storage/disk/"),
        *("raft/types.h", "raft/codec.h"),
    ),
    "server": ("server/", "raft/", "storage/", "resp/"),
    "server/command": (
        *("server/command/", "raft/node.h", "raft/types.h", "resp/"),
        # DUMP and RESTORE speak the format of Redis's files.
        *("storage/data/", "storage/snapshot/rdb_"),
    ),
    "server/replica": (
        *("server/replica/", "server/command/", "server/net/request_sink.h"),
        *("raft/", "storage/", "resp/"),
    ),
    # The reader of Redis's files knows nothing of the server, and raftkv-cli import needs one.
    "client": (
        *("client/", "storage/snapshot/rdb_file.h", "storage/snapshot/rdb_reader.h"),
        "storage/snapshot/rdb_source.h",
    ),
    "tests": ("tests/", "server/", "raft/", "storage/", "resp/", "client/"),
}
# Library header prefix -> the only folders that may include it. What is not listed is free.
LIBRARY_HOMES = {
    "uv.h": ("server", "tests"),
    "rocksdb/": ("storage/log", "tests"),
    "hiredis": ("client", "tests"),
    "gflags/": ("server", "client", "tests"),
}
# Folders that the simulator runs: neither the loop nor the disk, whatever the lines above say.
PURE = {"server/command": ("uv.h", "rocksdb/", "gflags/"), "server/replica": ("uv.h", "rocksdb/", "gflags/")}

# Written apart, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b|(?i:not" + r" implemented)")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
FLAG = re.compile(r"^DEFINE_(?:bool|u?int32|u?int64|double|string)\(\s*(\w+)", re.MULTILINE)

PREFETCH_HOME = "storage/data/prefetch.h"
WALK = "_ZN6raftkv4data3Cut7advanceEm"  # Cut::advance(size_t)

GTEST = re.compile(r"^TEST(?:_[FP])?\(\s*(\w+)\s*,\s*(\w+)", re.MULTILINE)
PYTEST = re.compile(r"^ +def (test_\w+)\(", re.MULTILINE)
# In a document: `Suite.Case` of GoogleTest (its names begin with a capital letter), or `test_case` of unittest.
NAMED_TEST = re.compile(r"`([A-Z]\w+\.[A-Z]\w+|test_\w+)`")


def files_under(root, folders, endings):
    for folder in folders:
        for place, inner, names in os.walk(os.path.join(root, folder)):
            inner[:] = sorted(d for d in inner if d not in ("node_modules", "__pycache__"))
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(place, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def home_of(path, homes):
    """The longest of the folders that holds the file."""
    fitting = [home for home in homes if path.startswith(home + "/")]
    return max(fitting, key=len) if fitting else None


def check_includes(root):
    for path in files_under(root, MAY_INCLUDE_ROOTS, CODE):
        for number, line in enumerate(read(root, path).splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                problem = wrong_include(path, match.group(1) == '"', match.group(2))
                if problem:
                    yield f"{path}:{number}: {problem}"


MAY_INCLUDE_ROOTS = sorted({folder.split("/")[0] for folder in MAY_INCLUDE})


def wrong_include(path, quoted, included):
    """What is wrong with this line, or None."""
    if quoted:
        home = home_of(path, MAY_INCLUDE)
        if not included.startswith(MAY_INCLUDE[home]):
            return f'{home} may not include "{included}"'
        return None
    pure = home_of(path, PURE)
    if pure and included.startswith(PURE[pure]):
        return f"{pure} runs in the simulator and may not include <{included}>"
    for library, homes in LIBRARY_HOMES.items():
        if included.startswith(library) and home_of(path, homes) is None:
            return f"<{included}> belongs into {' or '.join(homes)} only"
    return None


def check_lengths(root):
    for path in files_under(root, SOURCE_FOLDERS, CODE + (".py", ".sh", ".js")):
        lines = read(root, path).count("\n")
        if lines > LINES_MAX:
            yield f"{path}: {lines} lines; above {LINES_MAX} two ideas live in one file"


def check_words(root):
    folders = SOURCE_FOLDERS + ("docs", "docker")
    for path in [*files_under(root, folders, WRITTEN), "README.md", "CMakeLists.txt"]:
        if not os.path.exists(os.path.join(root, path)):
            yield f"{path} is missing"
            continue
        for number, line in enumerate(read(root, path).splitlines(), 1):
            match = UNFINISHED.search(line)
            if match:
                yield f"{path}:{number}: '{match.group(0)}' means unfinished work"


def read_document(root, path):
    """A missing document is one that says nothing."""
    return read(root, path) if os.path.exists(os.path.join(root, path)) else ""


def check_prefetches(root):
    for path in files_under(root, SOURCE_FOLDERS, CODE):
        if path != PREFETCH_HOME and re.search(r"\b_" + r"_builtin_prefetch\b", read(root, path)):
            yield f"{path}: a compiler may drop this prefetch; {PREFETCH_HOME} has one that it may not"


def check_walk(server):
    """The walk over the dataset waits for memory at each key if the compiler dropped its prefetches."""
    if platform.machine() != "x86_64":
        return
    command = ["objdump", "--disassemble=" + WALK, "--no-show-raw-insn", server]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if shown.returncode != 0 or f"<{WALK}>:" not in shown.stdout:
        yield f"{server}: {WALK} can't be disassembled: {shown.stderr.strip()}"
    elif "prefetch" not in shown.stdout:
        yield f"{server}: Cut::advance has no prefetch: see {PREFETCH_HOME}"


def check_flags(root):
    """Each flag of the server has its row in docs/operations.md, and each row is a flag."""
    flags = set()
    for path in files_under(root, ("server",), (".cc",)):
        flags |= set(FLAG.findall(read(root, path)))
    rows = set(re.findall(r"^\| `--(\w+)`", read_document(root, "docs/operations.md"), re.MULTILINE))
    for flag in sorted(flags - rows):
        yield f"docs/operations.md: no row for --{flag}"
    for flag in sorted(rows - flags):
        yield f"docs/operations.md: --{flag} is no flag of the server"
    if not flags:
        yield "server: no flag is defined anywhere; did their form change?"


def check_named_tests(root):
    """Each test that docs/testing.md names is there, so that what it covers is covered."""
    tests = set()
    for path in files_under(root, ("tests",), (".cc", ".py")):
        text = read(root, path)
        tests |= {f"{suite}.{name}" for suite, name in GTEST.findall(text)}
        tests |= set(PYTEST.findall(text))
    for name in NAMED_TEST.findall(read_document(root, "docs/testing.md")):
        if name not in tests:
            yield f"docs/testing.md: there is no test {name}"


def check_commands(root, server):
    printed = subprocess.run([server, "--print_commands_md"], capture_output=True, text=True, timeout=60)
    if printed.returncode != 0:
        yield f"{server} --print_commands_md ended with {printed.returncode}: {printed.stderr.strip()}"
    elif printed.stdout != read_document(root, "docs/commands.md"):
        yield "docs/commands.md is out of date: raftkv-server --print_commands_md > docs/commands.md"


def problems(root, server=None, optimized=False):
    yield from check_includes(root)
    yield from check_lengths(root)
    yield from check_words(root)
    yield from check_prefetches(root)
    yield from check_flags(root)
    yield from check_named_tests(root)
    if server:
        yield from check_commands(root, server)
    if optimized:
        yield from check_walk(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--server")
    parser.add_argument("--optimized", action="store_true", help="the server is not a debug build")
    arguments = parser.parse_args()
    if arguments.optimized and not arguments.server:
        parser.error("--optimized is a fact of --server: name the program too")
    found = list(problems(arguments.root, arguments.server, arguments.optimized))
    for problem in found:
        print(problem)
    print(f"{len(found)} problem(s)")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
