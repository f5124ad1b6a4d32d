"""walletbench measures, prints what it promises, and leaves neither processes nor files behind."""
import json
import os
import signal
import subprocess
import time

import harness

PROGRAM = str(harness.programs("release") / "walletbench")
FOLDER = harness.folder()
ENV = {key: value for key, value in os.environ.items() if not key.startswith("WALLET_")}
KEYS = {"name", "value", "target", "holds", "samples", "a", "b", "unit"}
MEASURED = ["read_absent", "read_publishing", "whitelist_ns", "intake_sqlite", "sync_sqlite", "fresh_p50_ms"]


def run(*words, code=0):
    done = subprocess.run([PROGRAM, *words], env=ENV, text=True, capture_output=True, timeout=400)
    assert done.returncode == code, (words, done)
    return done


def children(pid):
    """All processes below pid, as long as it lives."""
    found, looked = [], [str(pid)]
    while looked:
        path = f"/proc/{looked[0]}/task/{looked[0]}/children"
        looked.pop(0)
        try:
            below = open(path, encoding="ascii").read().split()
        except OSError:
            continue
        found += below
        looked += below
    return found


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] != "Z"
    except OSError:
        return False


names = [line.split()[0] for line in run("list").stdout.splitlines()]
assert set(MEASURED) < set(names) and "read_lockstep" in names, names
assert "no \"nothing\"" in run("run", "nothing", code=2).stderr
run("run", code=2)
run(code=2)

rows = json.loads(run("run", *MEASURED, "--quick", "--json", "--dir", str(FOLDER)).stdout)["rows"]
assert [row["name"] for row in rows] == MEASURED
for row in rows:
    assert set(row) == KEYS and row["value"] > 0 and row["samples"] >= 3, row
assert list(FOLDER.iterdir()) == [], "no files are left"

# a benchmark that cannot be measured says so, and cleans up too
failed = run("run", "presence_bytes", "--dir", str(FOLDER / "missing"), "--json", code=1)
assert json.loads(failed.stdout)["rows"][0]["holds"] is False

bench = subprocess.Popen([PROGRAM, "run", "sync_sqlite", "--dir", str(FOLDER)], env=ENV,
                         stdout=subprocess.DEVNULL)
harness.until(lambda: len(children(bench.pid)) >= 4, 20, "walletd and its peers run")
below = children(bench.pid)
bench.send_signal(signal.SIGINT)
code = bench.wait(10)
assert code == 130, code
time.sleep(0.1)
assert not any(alive(pid) for pid in below), "no process is left"
assert list(FOLDER.iterdir()) == [], "no files are left"
harness.passed("walletbench", **{row["name"]: round(row["value"], 3) for row in rows})
