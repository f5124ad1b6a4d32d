"""Cache and queue on a Redis Cluster of three masters and three replicas: a master dies under load and
its replica takes over; nothing acknowledged is lost, reads go on, no version goes back."""
import os
import random
import sys
import time

import harness

FAILOVERS = int(os.environ.get("WALLET_TEST_FAILOVERS", 3))
USERS = 2000
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}


def main():
    backends = harness.Backends(cluster=True).start()
    settings = {**backends.settings(), "queue.partitions": 3}
    wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                            **settings)
    journal = harness.folder() / "journal"
    lines = harness.LineSim(wallet, LINES, USERS, kind="release", owners=0, seed=4, rate=500,
                            mode="req", changes=100000000, journal=journal, keep=True)
    config = {
        "cash": harness.line_config("cash", lines.urls["cash"]),
        "coin": harness.line_config("coin", lines.urls["coin"], unit="bean", scale=0),
    }
    for line in config.values():
        line.update(retry_base_ms=50, retry_max_ms=500, attempts_max=100)
    wallet.put("integration", {"lines": config})
    wallet.put("presentation", harness.pages(config))
    wallet.start()
    lines.start()
    watch = harness.Watching(wallet.read, USERS)
    pick = random.Random(7)
    for _ in range(FAILOVERS):
        time.sleep(3)
        master = pick.choice(backends.redis.masters())
        master.kill()
        harness.until(lambda: len(backends.redis.masters()) == 3, 30, "a replica takes over",
                      step=0.2)
        time.sleep(2)
        master.start()
        harness.until(lambda: "master_link_status:up" in master.command("INFO", "replication"), 30,
                      "the old master follows the new one", step=0.2)
    lines.burst(0)
    harness.until(lambda: lines.stats()["idle"], 90, "linesim has all its acknowledgements")
    wallet.wait_quiet(90)
    found = harness.judge(watch.stop())
    lost, changes = harness.lost_changes(journal, lines, USERS, wallet)
    assert not lost, f"{len(lost)} acknowledged changes lost: {lost[:5]}"
    assert changes > 500 and found["reads"] > 5000, (changes, found)
    wallet.stop()
    lines.stop()
    backends.kill()
    harness.passed("cluster", failovers=FAILOVERS, acknowledged=changes, lost=0,
                   reads=found["reads"], errors=found["errors"],
                   longest_gap_ms=round(found["longest_gap_ms"]))


if __name__ == "__main__":
    sys.exit(main())
