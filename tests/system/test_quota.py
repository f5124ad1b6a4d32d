"""Two writers over one Redis and one MariaDB, and a flood over a line with a small daily quota: the calls
that the line counts are never more than the quota, whichever writer makes them, also when one of them is
killed in the middle and comes back, and when the database is away for a while. Nearly all of the quota is
used: lost is only what the killed one had reserved. A writer that ends gives back what it had."""
import os
import sys
import time

import harness

QUOTA = int(os.environ.get("WALLET_TEST_QUOTA", 2000))
RATE = 100  # calls a second of all writers
AWAY_S = 4
USERS = 20000
FLOOD_S = int(os.environ.get("WALLET_TEST_FLOOD_S", 60))
PARTITIONS = 4
LINES = {"cash": "kind=cash,unit=CNY,scale=2,http", "coin": "kind=coin,unit=bean,scale=0,http"}
CHUNK = QUOTA // 100
HELD_MAX = 4 * CHUNK  # what a writer has at the most when it dies: some answers came late


class Day:
    def __init__(self):
        self.backends = harness.Backends(shards=1).start()
        settings = {**self.backends.settings(), "queue.partitions": PARTITIONS,
                    "keeper.lease_ms": 4000, "tier.silence_ms": 3000}
        self.writers = [
            harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                           **settings, server__name=f"writer{i}") for i in range(2)]
        self.sim = harness.LineSim(self.writers[0], LINES, USERS, kind="release", owners=1, keep=True)
        config = {"cash": harness.line_config(
            "cash", self.sim.urls["cash"], quota=QUOTA, rate=RATE, burst=10, batch_max=1,
            concurrency=8, retry_base_ms=100, retry_max_ms=1000, attempts_max=1000)}
        config["coin"] = harness.line_config("coin", self.sim.urls["coin"], unit="bean", scale=0,
                                             quota=QUOTA)
        for writer in self.writers:
            writer.put("integration", {"lines": config})
            writer.put("presentation", harness.pages(config))
            writer.start()
        self.sim.start()
        harness.until(lambda: all(self.held(w) == PARTITIONS // 2 for w in self.writers), 30,
                      "each writer serves half of the partitions")

    def held(self, writer):
        return sum(p["held"] for p in writer.queue()["partitions"])

    def calls(self, line="cash"):
        return self.sim.stats()["lines"][line]["calls"]

    def flood(self):
        """Every user's asset is to be asked for: ten times as many calls as the quota has."""
        client = self.writers[0].writer()
        for first in range(1, USERS + 1, 500):
            changes = [{"uid": uid} for uid in range(first, min(first + 500, USERS + 1))]
            harness.again(lambda: client.call("notify.changed", line="cash", changes=changes))
        client.close()

    def few(self):
        """Some calls of both writers to the other line."""
        client = self.writers[0].writer()
        client.call("notify.changed", line="coin", changes=[{"uid": uid} for uid in range(1, 51)])
        client.close()
        harness.until(lambda: self.sim.stats()["lines"]["coin"]["users"] >= 50, 30, "all are asked for")
        assert self.calls("coin") < self.reserved("coin")

    def reserved(self, line="cash"):
        """What the database has given out today."""
        return int(self.backends.shards[0].sql(
            f"SELECT reserved FROM wallet_0.quota WHERE line = '{line}'"))


def await_calls(day, calls, seconds):
    harness.until(lambda: day.calls() >= calls, seconds, f"{calls} calls of {day.calls()}")


def main():
    day = Day()
    first, second = day.writers
    begun, today = time.monotonic(), time.time() // 86400
    day.flood()
    await_calls(day, QUOTA // 4, 60)
    assert all(w.counter("quota_reserved") > 0 for w in day.writers), "both writers ask the line"
    second.kill()
    killed_at = day.calls()
    harness.until(lambda: day.held(first) == PARTITIONS, 30, "the other one takes over")
    await_calls(day, killed_at + QUOTA // 8, 60)
    day.backends.shards[0].kill()
    before = day.calls()
    time.sleep(AWAY_S)
    more = day.calls() - before
    assert more <= 2 * HELD_MAX, f"{more} calls without the database"
    day.backends.shards[0].start()
    # alone it would go on beyond what the other one has left, and that one begins anew
    await_calls(day, QUOTA - 2 * HELD_MAX, 60)
    time.sleep(QUOTA / RATE / 4)
    second.start()
    harness.until(lambda: day.held(second) > 0, 30, "it serves again")
    time.sleep(max(5.0, FLOOD_S - (time.monotonic() - begun)))
    calls = day.calls()
    days = 1 + int(time.time() // 86400 - today)  # it may be midnight
    assert calls <= QUOTA * days, f"{calls} calls of {QUOTA} a day"
    assert calls >= QUOTA - 2 * HELD_MAX, f"only {calls} calls of {QUOTA}"
    for writer in day.writers:
        line = writer.writer().call("admin.lines")["lines"][0]
        assert line["quota_left"] <= QUOTA * days - calls, (line, calls)
    day.few()
    for writer in day.writers:
        writer.stop()
    assert day.reserved() <= QUOTA
    assert day.reserved("coin") == day.calls("coin"), "what is not used is given back at the end"
    day.sim.stop()
    day.backends.kill()
    harness.passed("quota", quota=QUOTA, calls=calls, killed_at=killed_at,
                   without_database=more)


if __name__ == "__main__":
    sys.exit(main())
