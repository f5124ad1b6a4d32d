"""Reconciliation: differences of every kind are planted in database, cache and presence; one run
finds and repairs exactly them, whatever kills walletd meanwhile; a second run finds nothing; too
many differences stop it; the rolling comparison finds one by itself.

WALLET_TEST_USERS and WALLET_TEST_PLANTED make it larger: 333000 and 10000 are a million records."""
import collections
import json
import os
import random
import subprocess
import threading
import time

import harness

USERS = int(os.environ.get("WALLET_TEST_USERS", 6000))
PLANTED = int(os.environ.get("WALLET_TEST_PLANTED", 120))
KILLS = int(os.environ.get("WALLET_TEST_KILLS", 4))
LINES = ("cash", "coin", "gift")
UNITS = {"cash": ("cash", "CNY"), "coin": ("coin", "bean"), "gift": ("coin", "gem")}
STRANGERS = 10_000_000  # users from here on are put into the database behind walletd's back
SLOTS = 4096
VERSION = 1000000


def mix64(x):
    mask = (1 << 64) - 1
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & mask
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & mask
    return x ^ (x >> 31)


def shard_of(uid, shards=2):
    return (mix64(uid) >> 52) * shards // SLOTS


def ctl(wallet, *words, code=0):
    done = subprocess.run([harness.programs("release") / "walletctl", "-e", wallet.read, "-w",
                           wallet.write, "--json", "reconcile", *words],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == code, (words, done.returncode, done.stdout[-2000:], done.stderr)
    return json.loads(done.stdout) if done.stdout else {}


def number(value):
    return int(value)


def found(run):
    """{kind: (found, repaired, left)} of what is not zero."""
    return {row["kind"]: (number(row["found"]), number(row["repaired"]), number(row["left"]))
            for row in run["differences"] if number(row["found"])}


class World:
    """Two MariaDB shards, Redis, a walletd, and what every user should be shown."""

    def __init__(self):
        self.backends = harness.Backends(shards=2).start()
        # values are pushed; a line that is asked all the same says something older
        self.sim = harness.LineSim(None, {line: f"kind={UNITS[line][0]},unit={UNITS[line][1]},http"
                                          for line in LINES}, USERS, kind="release").start()
        lines = {line: {"kind": UNITS[line][0], "unit": UNITS[line][1],
                        "url": self.sim.urls[line], "fresh_ms": 10 ** 10} for line in LINES}
        presentation = {"golden": [], "sections": [
            {"kind": "cash", "title": "Cash", "lines": ["cash"]},
            {"kind": "coin", "title": "Coins", "lines": ["coin", "gift"]}]}
        self.wallet = harness.Wallet({"lines": lines}, presentation, **self.backends.settings(),
                                     **{"reconcile.at": "", "reconcile.rolling_s": 0,
                                        "reconcile.confirm_ms": 100, "reconcile.rate": 0,
                                        "server.name": "reconcile"})
        self.truth = {}  # (uid, line) -> [version, amount]
        self.fresh = STRANGERS

    def fill(self):
        client = self.wallet.writer()
        for line in LINES:
            kind, unit = UNITS[line]
            for first in range(1, USERS + 1, 200):
                assets = []
                for uid in range(first, min(first + 200, USERS + 1)):
                    self.truth[uid, line] = [VERSION, uid % 1000 + len(line)]
                    assets.append({"uid": uid, "kind": kind, "unit": unit, "version": VERSION,
                                   "amount": self.truth[uid, line][1], "changed_at": 1,
                                   "bucket": ""})
                harness.again(lambda: client.call("notify.assets", line=line, assets=assets))
                if first % 4000 == 1:
                    self.wallet.wait_quiet(60)
        client.close()
        self.wallet.wait_quiet(600)

    def read_all(self, uids=None):
        """Everybody is read, and is right."""
        client = self.wallet.reader()
        wrong = []
        for uid in uids or range(1, USERS + 1):
            assets = harness.again(lambda: client.call("wallet.assets", uid=uid))["assets"]
            shown = {a["line"]: [a["version"], a["amount"]] for a in assets if a.get("version")}
            truth = {line: self.truth[uid, line] for line in LINES if (uid, line) in self.truth}
            if shown != truth:
                wrong.append((uid, shown, truth))
        client.close()
        return wrong

    def sql(self, uid, text):
        shard = shard_of(uid)
        self.statements[shard].append(text)

    def plant(self, count):
        """Differences of each kind, `count` in all; returns {kind: how many}."""
        self.statements = collections.defaultdict(list)
        kinds = ["stale", "ahead", "orphan", "orphan all", "altered", "missing", "absent"]
        uids = random.sample(range(1, USERS + 1), count)
        planted = collections.Counter()
        self.gone = 0  # of whom the database has nothing
        for i, uid in enumerate(uids):
            kind = kinds[i % len(kinds)]
            line = random.choice(LINES)
            where = f"WHERE uid={uid} AND line='{line}'"
            truth = self.truth[uid, line]
            if kind == "stale":  # the database is newer than the copy
                truth[0] += 5
                truth[1] += 1
                self.sql(uid, f"UPDATE asset SET version=version+5, amount=amount+1 {where}")
            elif kind == "ahead":  # the copy is newer
                self.sql(uid, f"UPDATE asset SET version=version-3, amount=amount+1 {where}")
            elif kind == "orphan":
                self.sql(uid, f"DELETE FROM asset {where}")
            elif kind == "orphan all":
                self.sql(uid, f"DELETE FROM asset WHERE uid={uid}")
                planted["orphan"] += len(LINES)
                self.gone += 1
                continue
            elif kind == "altered":
                truth[1] += 7
                self.sql(uid, f"UPDATE asset SET amount=amount+7 {where}")
            elif kind == "missing":
                self.backends.redis.command("HDEL", f"w:{uid}", f"{line}/")
            else:  # who owns something, and presence has never heard of
                self.fresh += 1
                self.truth[self.fresh, "cash"] = [9, 77]
                slot = mix64(self.fresh) >> 52
                self.sql(self.fresh, "INSERT INTO asset(uid,line,bucket,slot,kind,amount,unit,scale,"
                         "count,pending,state,expires_at,version,changed_at,pulled_at) VALUES("
                         f"{self.fresh},'cash','',{slot},0,77,'CNY',0,0,0,0,0,9,1,{int(time.time())}000)")
            planted[kind] += 1
        for shard, statements in self.statements.items():
            for first in range(0, len(statements), 500):
                self.backends.shards[shard].sql(
                    f"USE wallet_{shard}; " + "; ".join(statements[first:first + 500]))
        return dict(planted)


class Reading(threading.Thread):
    """Reads at random while something is repaired: nobody who owns something is told otherwise, and
    no version goes back."""

    def __init__(self, world):
        super().__init__()
        self.world, self.ended, self.reads, self.wrong = world, False, 0, []
        self.start()

    def run(self):
        client = self.world.wallet.reader()
        seen = {}
        while not self.ended:
            uid = random.randint(1, USERS)
            try:
                assets = client.call("wallet.assets", timeout=3, uid=uid)["assets"]
            except (TimeoutError, harness.Error):
                continue
            self.reads += 1
            for asset in assets:
                key = uid, asset["line"]
                if asset.get("version") and asset["version"] < seen.get(key, 0):
                    self.wrong.append((key, seen[key], asset))
                seen[key] = max(seen.get(key, 0), asset.get("version") or 0)
        client.close()

    def stop(self):
        self.ended = True
        self.join()
        assert not self.wrong, self.wrong[:5]
        return self.reads


def expect(run, planted):
    assert run["state"] == "done", run
    assert found(run) == {kind: (n, n, 0) for kind, n in planted.items()}, (found(run), planted)


def check(world):
    wrong = world.read_all() + world.read_all(range(STRANGERS + 1, world.fresh + 1))
    assert not wrong, (len(wrong), wrong[:3])


def test_clean(world):
    run = ctl(world.wallet, "run")["runs"][0]
    assert run["state"] == "done" and not found(run), run
    assert number(run["users"]) == USERS and number(run["rows"]) == USERS * len(LINES), run
    assert number(run["equal"]) + number(run["uncached"]) == USERS, run
    assert number(run["equal"]) > USERS * 0.99, run
    lines = {line["line"]: line for line in run["lines"]}
    assert all(number(lines[line]["records"]) == USERS for line in LINES), run


def test_planted(world):
    planted = world.plant(PLANTED)
    dry = ctl(world.wallet, "run", "--dry-run", code=6)["runs"][0]
    assert found(dry) == {kind: (n, 0, n) for kind, n in planted.items()}, (found(dry), planted)
    reading = Reading(world)
    begun = time.monotonic()
    run = ctl(world.wallet, "run")["runs"][0]
    seconds = time.monotonic() - begun
    reads = reading.stop()
    expect(run, planted)
    rows = ctl(world.wallet, "differences", str(run["run"]), "--limit", "100000")["differences"]
    assert len(rows) == sum(planted.values()), len(rows)
    assert all(row["state"] == "repaired" for row in rows), rows[:3]
    client = world.wallet.writer()
    for row in random.sample(rows, 5):  # and whoever asks later is told
        events = harness.until(lambda: [e for e in client.call("admin.explain", uid=int(row["uid"]))["events"]
                                        if e["what"] == "repair"], 10, f"{row} is explained")
        assert any(row["kind"] in e["reason"] and e["line"] == row["line"] for e in events), (row, events)
    client.close()
    world.wallet.wait_quiet(60)
    check(world)
    again = ctl(world.wallet, "run")["runs"][0]
    expect(again, {})
    print(f"{sum(planted.values())} differences in {USERS * len(LINES)} records found and repaired "
          f"in {seconds:.1f} s, {reads} reads meanwhile: {planted}")


def test_killed(world):
    """Ends with the same report as if nothing had happened."""
    planted = world.plant(PLANTED)
    run = ctl(world.wallet, "run", "--rate", str(USERS * len(LINES) // max(8, KILLS)), "--no-wait")["run"]
    kills = 0
    while kills < KILLS:
        time.sleep(random.random() * 1.5)
        if ctl(world.wallet, "report", str(run))["runs"][0]["state"] != "open":
            break
        world.wallet.kill()
        kills += 1
        world.wallet.start()

    def ended():
        report = ctl(world.wallet, "report", str(run))["runs"][0]
        return report["state"] != "open" and report
    report = harness.until(ended, 180, "the run ends", step=0.3)
    expect(report, planted)
    users = USERS + world.fresh - STRANGERS - world.gone
    assert number(report["users"]) == users, (report["users"], users)
    assert kills > 0, "too fast to be killed"
    world.wallet.wait_quiet(60)
    check(world)
    expect(ctl(world.wallet, "run")["runs"][0], {})
    print(f"killed {kills} times, the same report: {planted}")


def test_capped(world):
    planted = world.plant(USERS // 10)
    run = ctl(world.wallet, "run", "--cap", "5", code=1)["runs"][0]
    assert run["state"] == "capped" and "more than 5.0 %" in run["note"], run
    assert all(repaired == 0 for _, repaired, _ in found(run).values()), found(run)
    assert harness.until(lambda: world.wallet.counter("reconcile_capped"), 5, "it is counted") == 1
    assert '"reconcile_capped"' in world.wallet.log.read_text()
    expect(ctl(world.wallet, "run", "--cap", "100")["runs"][0], planted)
    world.wallet.wait_quiet(60)
    check(world)


def test_rolling(world):
    """Within two rounds a difference that was planted under load is found, and repaired."""
    world.wallet.stop()
    world.wallet.settings["reconcile.rolling_s"] = 10
    world.wallet.settings["reconcile.load_percent"] = 50
    world.wallet.start()
    reading = Reading(world)
    harness.until(lambda: ctl(world.wallet, "report", "--rounds")["runs"], 30, "a round is begun")
    planted = world.plant(len(LINES) * 7)
    begun = time.monotonic()

    def all_found():
        runs = ctl(world.wallet, "report", "--rounds", "--limit", "10")["runs"]
        sums = collections.Counter()
        for run in runs:
            for kind, (_, repaired, _) in found(run).items():
                sums[kind] += repaired
        return sums == planted
    harness.until(all_found, 40, f"rounds find {planted}", step=0.5)
    print(f"found by rounds of 10 s within {time.monotonic() - begun:.1f} s: {planted}")
    reading.stop()
    world.wallet.wait_quiet(60)
    check(world)


def test_wrong_ways(world):
    ctl(world.wallet, "report", "77777", code=3)
    ctl(world.wallet, "report", "x", code=2)
    ctl(world.wallet, "differences", code=2)
    ctl(world.wallet, "differences", "77777", code=3)
    ctl(world.wallet, "run", "--cap", "101", code=1)
    ctl(world.wallet, "run", "--cap", "x", code=2)
    ctl(world.wallet, "run", "--shard", "2", code=1)
    client = world.wallet.writer()  # walletctl itself refuses this
    try:
        client.call("admin.reconcile.run", author="me", rate=2 ** 64 - 1)
        raise AssertionError("a rate that no report could tell was taken")
    except harness.Error as error:
        assert "rate" in str(error), error
    client.close()
    ctl(world.wallet, "stop", "1", code=4)
    ctl(world.wallet, "stop", "77777", code=3)
    ctl(world.wallet, "report", "--cap", "3", code=2)
    ctl(world.wallet, "rnu", code=2)
    run = ctl(world.wallet, "run", "--rate", "1000", "--no-wait")["run"]
    ctl(world.wallet, "run", code=4)
    assert ctl(world.wallet, "stop", str(run), "--note", "enough")["state"] == "stopped"
    report = ctl(world.wallet, "report", str(run))["runs"][0]
    assert report["state"] == "stopped" and report["note"] == "enough", report
    ctl(world.wallet, "run", "--shard", "1")


def main():
    random.seed(5)
    world = World()
    world.wallet.start()
    world.fill()
    assert not world.read_all()
    for step in (test_clean, test_wrong_ways, test_planted, test_killed, test_capped, test_rolling):
        begun = time.monotonic()
        step(world)
        print(f"{step.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
    world.wallet.stop()


if __name__ == "__main__":
    main()
