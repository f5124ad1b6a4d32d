"""A newcomer onboards a line by docs/ONBOARDING.md alone: every command of the page is run, in order,
in one shell and a private folder, and prints what the page says. Only port numbers are replaced.

A block ```sh is run; each row of the block ```text behind it must stand in what the commands printed,
blanks aside; "..." in a row stands for anything.
"""
import os
import re
import signal
import subprocess
import sys

import harness

PAGE = harness.ROOT / "docs" / "ONBOARDING.md"
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
SECONDS = 240
MARK = "=== block"


def blocks():
    """[(commands, rows to be printed)]"""
    found = []
    for kind, text in BLOCK.findall(PAGE.read_text()):
        if kind == "sh":
            found.append((text, []))
        elif kind == "text":
            assert found and not found[-1][1], "each text block stands behind its commands"
            found[-1][1].extend(text.splitlines())
    return found


def words(row):
    return " ".join(row.split())


def shows(output, row):
    pattern = ".*".join(re.escape(words(part)) for part in row.split("..."))
    return any(re.search(pattern, words(line)) for line in output.splitlines())


def run(script, folder, env):
    """Output of the shell that ran everything; it and its children are gone."""
    with open(folder / "shell.log", "wb") as log:
        shell = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env,
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                 start_new_session=True)
        try:
            code = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = "no end"
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return code, (folder / "shell.log").read_text(errors="replace")


def place():
    """What a newcomer has: the tree, built."""
    folder = harness.folder()
    (folder / "build").mkdir()
    (folder / "build" / "bin").symlink_to(harness.programs())
    (folder / "examples").symlink_to(harness.ROOT / "examples")
    tools = folder / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(sys.executable)
    return folder, tools


def main():
    folder, tools = place()
    ports = {name: str(harness.free_port()) for name in ("7700", "7701", "7702", "8201", "8202")}
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
           "WALLET_FRONTEND_ENDPOINT": f"tcp://127.0.0.1:{ports['7700']}",
           "WALLET_INTAKE_ENDPOINT": f"tcp://127.0.0.1:{ports['7701']}",
           "WALLET_INTAKE_SUBSCRIBE": f"tcp://127.0.0.1:{ports['7702']}",
           "WALLETCTL_ENDPOINT": f"tcp://127.0.0.1:{ports['7700']}",
           "WALLETCTL_WRITER": f"tcp://127.0.0.1:{ports['7701']}"}
    page = blocks()
    assert len(page) >= 10, "the page has lost its commands"
    script = ""
    for number, (commands, _) in enumerate(page):
        script += f"echo '{MARK}' {number}\n{commands}"
    for name, port in ports.items():
        script = re.sub(rf"\b{name}\b", port, script)
    code, output = run(script, folder, env)
    printed = re.split(rf"^{MARK} \d+\n", output, flags=re.M)[1:]
    if code != 0:
        log = folder / "onboarding" / "walletd.log"
        tail = log.read_text(errors="replace")[-3000:] if log.exists() else ""
        raise AssertionError(f"the shell ended with {code} in\n{page[len(printed) - 1][0]}\n"
                             f"{printed[-1] if printed else output}\n{tail}")
    for (commands, rows), text in zip(page, printed, strict=True):
        for row in rows:
            assert shows(text, row), f"not printed: {row!r}\nby\n{commands}\nbut\n{text}"
    harness.passed("onboarding", blocks=len(page), rows=sum(len(rows) for _, rows in page))


if __name__ == "__main__":
    sys.exit(main())
