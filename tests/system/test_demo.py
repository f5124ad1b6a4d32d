"""What the README shows first: the demo converges, compares with the lines' truth, prints a wallet,
and leaves no process and no folder; twice in a row. With the demo up, Ctrl-C ends all of it."""
import glob
import os
import signal
import subprocess
import sys
import time

import harness

COMMAND = ["/usr/bin/python3", str(harness.ROOT / "scripts" / "demo.py"), "--changes", "20000"]


def folders():
    return set(glob.glob("/tmp/walletd-demo-*"))


def main():
    before = folders()
    for _ in range(2):
        begun = time.monotonic()
        demo = subprocess.run([*COMMAND, "--once=yes"], capture_output=True, text=True, timeout=60)
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert ": 0 differences" in demo.stdout, demo.stdout
        assert "Golden slots" in demo.stdout and "golden 4" in demo.stdout, demo.stdout
        assert time.monotonic() - begun < 20
        assert folders() == before, "the demo left its folder"

    demo = subprocess.Popen([*COMMAND, "--once=no"], stdout=subprocess.PIPE, text=True,
                            stdin=subprocess.DEVNULL, start_new_session=True)
    for line in demo.stdout:
        if "walletd stays up" in line:
            break
    shown = subprocess.run([harness.programs("release") / "walletctl", "ping"], timeout=10)
    assert shown.returncode == 0
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait(20) == 0
    assert folders() == before
    refused = subprocess.run([harness.programs("release") / "walletctl", "--timeout", "500", "ping"],
                             capture_output=True, timeout=10)
    assert refused.returncode == 5, "something still answers"
    harness.passed("demo")


if __name__ == "__main__":
    sys.exit(main())
