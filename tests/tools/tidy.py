"""Checks what reviewers should not have to: lengths, banned calls, dependency direction, a test per
module, and that every message, method, counter and setting is documented.

usage: tests/tools/tidy.py        prints each violation as file:line: message, exit 1 if any
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
LINE_MAX, FUNCTION_MAX, SOURCE_MAX, HEADER_MAX, MAIN_MAX = 100, 70, 520, 150, 150

# A layer may include itself and these.
LAYERS = {
    "base": set(),
    "domain": {"base"},
    "proto": {"base"},
    "store": {"base"},
    "lines": {"base", "domain", "proto"},
    "client": {"base", "proto", "wallet.h"},
    "actors": {"base", "domain", "proto", "store", "lines", "topology.h", "secure.h"},
    "tools": {"base", "domain", "proto", "store", "lines", "client", "wallet.h"},
}
BANNED = {
    r"\batoi\s*\(": "atoi cannot report errors",
    r"\b(v?sprintf|strcpy|strcat|strtok|gets)\s*\(": "unbounded string function",
    r"\b(sleep|usleep)\s*\(": "sleeping is never a synchronisation",
    r"\b(rand|random|srand|srandom)\s*\(": "predictable random numbers: base/random.h",
    r"\b(zmsg|zframe)_\w+\s*\(": "czmq messages allocate; use proto/channel.h",
    r"\bassert\s*\(": "WL_ASSERT stays on in release",
    r"\b(TODO|FIXME|XXX|HACK)\b": "an unfinished thing belongs into an issue",
}
# Raw libzmq messages live in proto and in clients that speak to it from outside.
RAW_ZMQ = re.compile(r"\bzmq_(msg_\w+|send|recv|poll)\s*\(")
RAW_ZMQ_ALLOWED = {"proto", "client", "tools"}
LOGGING_ALLOWED = {"actors", "main.c", "process.c", "tools"}
# Modules that are tested through another module's test, each with its reason.
TESTED_ELSEWHERE = ROOT / "tests" / "tested_elsewhere.txt"

problems = []


def problem(path, line, message):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {message}")


def strip_comments_and_strings(text):
    """Blanks comments and string contents, keeping line numbers."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


def layer_of(path):
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else parts[-1]


def check_lengths(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LINE_MAX and path.suffix != ".def":  # a table row stays one line
            problem(path, number, f"line of {len(line)} characters, at most {LINE_MAX}")
    lines = text.count("\n")
    limit = HEADER_MAX if path.suffix == ".h" else SOURCE_MAX
    if path.name == "main.c":
        limit = MAIN_MAX
    if path.suffix in (".c", ".h") and lines > limit and path.name != "messages.h":
        problem(path, lines, f"{lines} lines, at most {limit}: there is a second noun inside")


def check_functions(path, code):
    start = None
    for number, line in enumerate(code.split("\n"), 1):
        if line.startswith("{") or (line.rstrip().endswith("{") and re.match(r"[A-Za-z_].*\)\s*\{", line)):
            start = number
        elif re.match(r"^\s+.*\)\s*\{$", line) and start is None and not line.startswith("    " * 2 + " " * 8):
            pass
        if line.startswith("}") and start is not None:
            if number - start > FUNCTION_MAX:
                problem(path, start, f"function of {number - start} lines, at most {FUNCTION_MAX}")
            start = None


def check_banned(path, code, text):
    layer = layer_of(path)
    for number, line in enumerate(code.split("\n"), 1):
        for pattern, why in BANNED.items():
            if layer == "tools" and "zmsg" in pattern:
                continue  # clients of walletd, free to be convenient
            if re.search(pattern, line) and "static_assert" not in line:
                problem(path, number, f"banned: {why}")
        if layer not in RAW_ZMQ_ALLOWED and RAW_ZMQ.search(line):
            problem(path, number, "raw zmq calls belong to proto")
        if layer not in LOGGING_ALLOWED and layer != "base" and re.search(r"\bwl_log\s*\(", line):
            problem(path, number, "only actors, main and tools log")
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            problem(path, number, "an unfinished thing belongs into an issue")


def check_includes(path, text):
    layer = layer_of(path)
    if layer not in LAYERS:
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'#include "([^"]+)"', line)
        if not match:
            continue
        target = match.group(1).split("/")[0]
        own = (path.parent / match.group(1)).exists() or (SRC / "tools" / match.group(1)).exists()
        if layer == "tools" and own:
            continue
        if target != layer and target not in LAYERS[layer]:
            problem(path, number, f"{layer} may not depend on {match.group(1)}")


def check_header(path, text):
    guard = "WL_" + re.sub(r"[^A-Z0-9]", "_", str(path.relative_to(SRC)).upper())
    if f"#ifndef {guard}" not in text:
        problem(path, 1, f"guard is not {guard}")
    if not text.startswith("/*"):
        problem(path, 1, "a header starts with a comment that says what it is for")


def check_tests():
    elsewhere = {}
    for line in TESTED_ELSEWHERE.read_text().splitlines():
        if line and not line.startswith("#"):
            module, _, test = line.partition(" ")
            elsewhere[module] = test.split()[0] if test.split() else ""
    for source in sorted(SRC.rglob("*.c")):
        parts = source.relative_to(SRC).parts
        module = str(source.relative_to(SRC).with_suffix(""))
        folder = "actor" if parts[0] in ("actors", "topology.c") else f"unit/{parts[0]}"
        own = ROOT / "tests" / folder / f"test_{source.stem}.c"
        if own.exists():
            continue
        if module not in elsewhere:
            problem(source, 1, f"no {own.relative_to(ROOT)} and no row in {TESTED_ELSEWHERE.name}")
        elif not (ROOT / elsewhere[module]).exists():
            problem(source, 1, f"{elsewhere[module]} does not exist")
    for module in elsewhere:
        if not (SRC / f"{module}.c").exists():
            problem(TESTED_ELSEWHERE, 1, f"{module} is gone")


def names(path, pattern):
    return re.findall(pattern, (SRC / path).read_text())


def check_documented():
    protocol = (ROOT / "docs" / "PROTOCOL.md").read_text()
    config = (ROOT / "docs" / "CONFIG.md").read_text()
    for name in names("proto/messages.def", r"^\s+M\((\w+),"):
        if f"`{name}`" not in protocol and name not in protocol:
            problem(ROOT / "docs/PROTOCOL.md", 1, f"message {name} is not documented")
    for name in names("proto/methods.def", r'R\(\w+, "([^"]+)"'):
        if name not in protocol:
            problem(ROOT / "docs/PROTOCOL.md", 1, f"method {name} is not documented")
    for name in re.findall(r"^C\((\w+),", (SRC / "base/counters.def").read_text(), re.M):
        if name not in protocol:
            problem(ROOT / "docs/PROTOCOL.md", 1, f"counter {name} is not documented")
        used = any(re.search(rf"\b(WL_COUNTER_)?{name}\b", source.read_text())
                   for source in SRC.rglob("*.c"))
        if not used:
            problem(SRC / "base/counters.def", 1, f"counter {name} is never counted")
    for section, key in re.findall(r"^S\(\w+, (\w+), (\w+),", (SRC / "base/settings.def").read_text(), re.M):
        if f"{section}.{key}" not in config:
            problem(ROOT / "docs/CONFIG.md", 1, f"setting {section}.{key} is not documented")


def main():
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in (".c", ".h", ".def"):
            continue
        text = path.read_text()
        code = strip_comments_and_strings(text)
        check_lengths(path, text)
        if path.suffix == ".c":
            check_functions(path, code)
        if path.suffix in (".c", ".h"):
            check_banned(path, code, text)
            check_includes(path, text)
        if path.suffix == ".h":
            check_header(path, text)
    check_tests()
    check_documented()
    for line in problems:
        print(line)
    print(f"tidy: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
