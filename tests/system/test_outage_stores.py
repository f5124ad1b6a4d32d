"""Redis stopped for half a minute under reads: every answer is right and none later than its
deadline, and the rest comes back by itself. Then one MySQL shard stopped: users of the other are
unaffected, cached users of the stopped one are still answered, and changes wait in the queue. Then
it is stopped for long under changes of all users, more than the windows of the lines hold: those of
the other shard's users arrive promptly all the time, the rest when it is back, and none is lost."""
import os
import sys
import time

import harness

STOPPED_S = float(os.environ.get("WALLET_TEST_STOPPED_S", 30))
USERS = 2000
SLOTS = 4096


def mix64(x):
    mask = (1 << 64) - 1
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & mask
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & mask
    return x ^ (x >> 31)


def shard_of(uid, shards=2):
    return (mix64(uid) >> 52) * shards // SLOTS


def redis_stopped(backends, wallet, lines, how):
    """how: "kill" (connections break at once) or "freeze" (they hang)."""
    watch = harness.Watching(wallet.read, USERS)
    time.sleep(2)
    if how == "kill":
        backends.redis.kill()
    else:
        backends.redis.freeze()
    time.sleep(STOPPED_S)
    if how == "kill":
        backends.redis.start()
    else:
        backends.redis.thaw()
    before = wallet.counter("cache_hits")
    harness.until(lambda: wallet.counter("cache_hits") > before + 1000, 20,
                  "the cache is used again without a restart")
    found = harness.judge(watch.stop())
    assert found["no_answer"] == 0, found
    refused = sum(found["errors"].values())
    assert refused <= found["reads"] * 0.001, found
    harness.until(lambda: lines.stats()["idle"], 60, "linesim has all its acknowledgements")
    wallet.wait_quiet(60)
    return found


def shard_stopped(backends, wallet, lines):
    reader = wallet.reader()
    mine = [uid for uid in range(1, USERS + 1) if shard_of(uid) == 0]
    others = [uid for uid in range(1, USERS + 1) if shard_of(uid) == 1]
    known = {uid: reader.call("wallet.assets", uid=uid)["assets"] for uid in mine[:200]}
    backends.shards[0].freeze()
    try:
        told = harness.again(lambda: wallet.writer().call(
            "notify.changed", line="cash", changes=[{"uid": uid} for uid in mine[:50]]))
        assert told["accepted"] == 50
        slowest = 0.0
        for uid in others[:300]:
            begun = time.monotonic()
            reader.call("wallet.assets", uid=uid)
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 0.5, f"a user of the other shard waited {slowest:.2f} s"
        for uid, assets in known.items():
            now = reader.call("wallet.assets", uid=uid)["assets"]
            assert {(a["line"], a["version"]) for a in now if a["version"]} == \
                {(a["line"], a["version"]) for a in assets}, (uid, assets, now)
        time.sleep(3)
        assert wallet.queue()["entries"] > 0, "the changes of the stopped shard wait in the queue"
        lines.burst(500, "req", 0)  # for all users: those of the other shard go on
        time.sleep(2)
    finally:
        backends.shards[0].thaw()
    harness.until(lambda: lines.stats()["idle"], 60, "linesim has all its acknowledgements")
    wallet.wait_quiet(60)
    return slowest


def shard_stopped_long(backends, wallet, lines):
    """Returns the longest time until what the lines held for some users of the other shard was
    shown. Shard 0 has the leases, and nobody may write for long without it: shard 1 stops."""
    others = [uid for uid in range(1, USERS + 1) if shard_of(uid) == 0][:200]
    reader = wallet.reader()
    slowest = 0.0
    backends.shards[1].freeze()
    try:
        lines.burst(int(500 * STOPPED_S), "req", 500)
        ends = time.monotonic() + STOPPED_S
        while time.monotonic() < ends:
            begun = time.monotonic()
            owed = {(line, uid): int(asset["version"])
                    for (line, uid, _), asset in lines.truth().items() if uid in others}
            for uid in others:
                def shown():
                    held = {a["line"]: a["version"]
                            for a in reader.call("wallet.assets", uid=uid)["assets"]}
                    return all(held.get(line, 0) >= version
                               for (line, owner), version in owed.items() if owner == uid)
                harness.until(shown, 8, f"user {uid} of the shard that works")
            slowest = max(slowest, time.monotonic() - begun)
    finally:
        backends.shards[1].thaw()
    harness.until(lambda: lines.stats()["idle"], 60, "linesim has all its acknowledgements")
    wallet.wait_quiet(60)
    lost, changes = harness.lost_changes(lines.journal, lines, USERS, wallet)
    assert not lost, (len(lost), lost[:5])
    assert changes > 0
    return slowest


def main():
    backends = harness.Backends().start()
    wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                            **backends.settings())
    lines = harness.LineSim(wallet, {"cash": "kind=cash,unit=CNY,scale=2,http",
                                     "coin": "kind=coin,unit=bean,http"}, USERS,
                            kind="release", owners=0, seed=9, mode="req", keep=True,
                            journal=harness.folder() / "journal")
    limits = {"retry_base_ms": 50, "retry_max_ms": 500, "attempts_max": 200,
              "concurrency": 2, "batch_max": 50}
    config = {"cash": harness.line_config("cash", lines.urls["cash"], **limits),
              "coin": harness.line_config("coin", lines.urls["coin"], "bean", 0, **limits)}
    wallet.put("integration", {"lines": config})
    wallet.put("presentation", harness.pages(config))
    wallet.start()
    lines.start()
    lines.burst(USERS * 5, "req", 0)
    harness.until(lambda: lines.stats()["idle"], 60, "linesim has all its acknowledgements")
    wallet.wait_quiet(60)
    killed = redis_stopped(backends, wallet, lines, "kill")
    frozen = redis_stopped(backends, wallet, lines, "freeze")
    try:
        slowest = shard_stopped(backends, wallet, lines)
    except harness.Error as error:  # when the machine stalls for a moment, all copies are read anew
        print(f"once more: {error}", flush=True)
        slowest = shard_stopped(backends, wallet, lines)
    longest = shard_stopped_long(backends, wallet, lines)
    wallet.stop()
    lines.stop()
    backends.kill()
    harness.passed("outage_stores", redis_stopped_s=STOPPED_S,
                   reads_killed=killed["reads"], reads_frozen=frozen["reads"],
                   slowest_ms=round(max(killed["slowest_ms"], frozen["slowest_ms"])),
                   other_shard_slowest_ms=round(slowest * 1000),
                   other_shard_changes_slowest_ms=round(longest * 1000))


if __name__ == "__main__":
    sys.exit(main())
