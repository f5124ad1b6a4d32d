"""kill -9 of Redis, of MariaDB shards and of walletd in turn, at random moments, under acknowledged
changes and reads: nothing acknowledged is lost, no reader sees a version go back, and nobody who owns
something is shown an empty wallet."""
import os
import random
import sys
import time

import harness

ROUNDS = int(os.environ.get("WALLET_TEST_KILLS", 30))
USERS = 2000
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}


def main():
    backends = harness.Backends().start()
    wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                            **backends.settings())
    journal = harness.folder() / "journal"
    lines = harness.LineSim(wallet, LINES, USERS, kind="release", owners=0, seed=3, rate=1000,
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
    pick = random.Random(5)
    kills = dict.fromkeys(["redis", "mariadb", "walletd"], 0)
    slowest = 0.0
    for turn in range(ROUNDS * 3):
        time.sleep(pick.uniform(0.1, 0.9))
        victim = ["redis", "mariadb", "walletd"][turn % 3]
        kills[victim] += 1
        if victim == "walletd":
            wallet.kill()
            wallet.start(wait=None)
            slowest = max(slowest, wallet.wait_ready(15))
        else:
            server = backends.redis if victim == "redis" else pick.choice(backends.shards)
            server.kill()
            time.sleep(pick.uniform(0, 0.3))
            server.start()
        assert wallet.process.poll() is None, f"walletd ended\n{wallet.tail()}"
    lines.burst(0)
    harness.until(lambda: lines.stats()["idle"], 90, "linesim has all its acknowledgements")
    wallet.wait_quiet(90)
    found = harness.judge(watch.stop())
    lost, changes = harness.lost_changes(journal, lines, USERS, wallet)
    assert not lost, f"{len(lost)} acknowledged changes lost: {lost[:5]}"
    assert changes > 100 * ROUNDS, f"only {changes} changes were acknowledged"
    assert found["reads"] > 1000 * ROUNDS, found
    wallet.stop()
    lines.stop()
    backends.kill()
    harness.passed("crash_stores", **kills, acknowledged=changes, lost=0, reads=found["reads"],
                   errors=found["errors"], regressions=0, false_none=0,
                   slowest_ready_s=round(slowest, 2))


if __name__ == "__main__":
    sys.exit(main())
