"""walletctl lines backfill: all users of a line are pulled once more; walletd is killed in the
middle again and again, each time it goes on where it was, and the total comes out right."""
import json
import os
import random
import subprocess
import time

import harness

USERS = int(os.environ.get("WALLET_TEST_USERS", 60000))
KILLS = int(os.environ.get("WALLET_TEST_KILLS", 3))
AGAIN_MAX = 10000  # users whose pull ended after the place was written down last, of one kill


def integration(url, more=None):
    return {"lines": {"coin": {"kind": "coin", "unit": "bean", "url": url, "batch_max": 200,
                               "concurrency": 8, "timeout_ms": 5000, **(more or {})}}}


def ctl(wallet, *words, code=0):
    done = subprocess.run([harness.programs("release") / "walletctl", "-e", wallet.read, "-w",
                           wallet.write, "--json", "lines", "backfill", *words],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else {}


def fill(wallet):
    """Every user gets a record."""
    client = wallet.writer()
    for first in range(1, USERS + 1, 1000):
        changes = [{"uid": uid} for uid in range(first, min(first + 1000, USERS + 1))]
        harness.again(lambda: client.call("notify.changed", line="coin", changes=changes))
    client.close()
    wallet.wait_quiet(120)


def test_wrong_ways(wallet):
    assert ctl(wallet, "coin", "--status")["state"] == "none"
    ctl(wallet, "none", code=3)
    ctl(wallet, "coin", "--stop", code=3)
    ctl(wallet, "coin", "--stop", "--status", code=2)
    ctl(wallet, "coin", "--rate", "0", code=2)
    ctl(wallet, code=2)


def test_killed(wallet, sim):
    sim.reset()
    begun = time.monotonic()
    rate = str(max(USERS // 4, 1))  # seconds, so that this script is there in time to kill it
    state = ctl(wallet, "coin", "--rate", rate, "--no-wait")["state"]
    assert state in ("waiting", "counting", "running"), state
    ctl(wallet, "coin", code=4)
    kills = 0
    seen = 0
    random.seed(1)
    while kills < KILLS:
        status = ctl(wallet, "coin", "--status")
        done = status["done"] + status["failed"]
        if status["state"] == "done":
            break
        if status["state"] == "running" and done > seen:
            assert status["total"] == USERS, status
            wallet.kill()
            kills += 1
            seen = done
            wallet.start()
        time.sleep(random.random() * 0.2)
    status = harness.until(lambda: (s := ctl(wallet, "coin", "--status"))["state"] == "done" and s,
                           120, "the backfill ends", step=0.2)
    asked = sim.stats()["lines"]["coin"]["users"]
    print(f"{USERS} users in {time.monotonic() - begun:.1f} s, {kills} kills, "
          f"{asked - USERS} pulled twice")
    assert status["total"] == status["done"] + status["failed"] == USERS, status
    assert status["failed"] == 0, status
    assert kills > 0, "too fast to be killed"
    assert USERS <= asked <= USERS + kills * AGAIN_MAX, asked


def test_rate_and_stop(wallet, sim):
    sim.reset()
    ctl(wallet, "coin", "--rate", "500", "--no-wait")
    harness.until(lambda: ctl(wallet, "coin", "--status")["state"] == "running", 30, "it runs")
    begun = time.monotonic()
    first = sim.stats()["lines"]["coin"]["users"]
    time.sleep(2)
    asked = sim.stats()["lines"]["coin"]["users"] - first
    allowed = (time.monotonic() - begun) * 500
    assert asked <= allowed + 500 / 10 + 250, f"{asked} users, {allowed:.0f} allowed"
    assert ctl(wallet, "coin", "--stop")["state"] in ("running", "stopped")
    harness.until(lambda: ctl(wallet, "coin", "--status")["state"] == "stopped", 10, "it ends")
    wallet.wait_quiet(30)  # what was in hand is still pulled
    users = sim.stats()["lines"]["coin"]["users"]
    time.sleep(0.5)
    assert sim.stats()["lines"]["coin"]["users"] == users, "stopped is stopped"


def main():
    wallet = harness.Wallet({"lines": {}}, {}, kind="release")
    sim = harness.LineSim(wallet, {"coin": "kind=coin,unit=bean,scale=0,zmq"}, USERS,
                          kind="release", owners=1, keep=True).start()
    wallet.put("integration", integration(sim.urls["coin"]))
    wallet.start()
    fill(wallet)
    test_wrong_ways(wallet)
    test_killed(wallet, sim)
    test_rate_and_stop(wallet, sim)
    wallet.stop()
    sim.stop()


main()
