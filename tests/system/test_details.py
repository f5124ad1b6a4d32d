"""wallet.details and wallet.summary against three lines that insert and delete while a client pages:
no item twice, none skipped that was there throughout; foreign and forged cursors are refused; sums
agree with the items."""
import json
import os
import random
import subprocess
import threading
import time

import harness

ITEMS = int(os.environ.get("WALLET_TEST_ITEMS", 10002)) // 3  # of each line
UID, OTHER = 7, 8
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
    "rebate": "kind=cashback,unit=CNY,scale=2,summary=no,http",
}


def integration(urls):
    common = {"details": True, "details_fresh_ms": 0, "timeout_ms": 3000, "concurrency": 16}
    return {"lines": {
        "cash": {"kind": "cash", "unit": "CNY", "scale": 2, "url": urls["cash"], "summary": True,
                 **common},
        "coin": {"kind": "coin", "unit": "bean", "url": urls["coin"], "summary": True, **common},
        "rebate": {"kind": "cashback", "unit": "CNY", "scale": 2, "url": urls["rebate"], **common},
    }}


class Meddler(threading.Thread):
    """Inserts and deletes items while somebody pages."""

    def __init__(self, sim, newest):
        super().__init__(daemon=True)
        self.sim, self.newest = sim, newest
        self.touched = set()
        self.known = []  # items that may be deleted
        self.stopped = threading.Event()
        self.changes = 0

    def run(self):
        dice = random.Random(3)
        while not self.stopped.is_set():
            line = dice.choice(list(LINES))
            if dice.random() < 0.5 or not self.known:
                at = self.newest - dice.randrange(ITEMS * 60000)
                item = self.sim.details_add(line, UID, time=at, amount=dice.randrange(1, 999))
                self.touched.add((line, item["id"]))
            else:
                line, item = self.known.pop(dice.randrange(len(self.known)))
                self.touched.add((line, item))
                self.sim.details_delete(line, UID, item)
            self.changes += 1
            self.stopped.wait(0.005)

    def stop(self):
        self.stopped.set()
        self.join()


def page_through(client, limit, seen=None, **more):
    """All items of a list, in order; seen(page) is called for each page."""
    cursor, items = None, []
    while True:
        asked = {"uid": UID, "limit": limit, **more}
        if cursor:
            asked["cursor"] = cursor
        page = client.call("wallet.details", timeout=10, deadline_ms=8000, **asked)
        assert page["uid"] == UID and page["degraded"] == [] and len(page["items"]) <= limit
        items += page["items"]
        if seen:
            seen(page)
        cursor = page["next"]
        if cursor is None:
            return items


def ordered(items):
    return all(a["time"] >= b["time"] for a, b in zip(items, items[1:]))


def test_merged(client, sim):
    everything = page_through(client, 100)
    assert len(everything) == 3 * ITEMS, len(everything)
    assert ordered(everything)
    keys = {(item["line"], item["id"]) for item in everything}
    assert len(keys) == len(everything)
    for line in LINES:
        alone = page_through(client, 100, line=line)
        assert [i["id"] for i in alone] == [i["id"] for i in everything if i["line"] == line]
    assert {i["line"] for i in page_through(client, 100, kind="coin")} == {"coin"}
    return everything


def test_while_it_changes(client, sim, everything):
    meddler = Meddler(sim, everything[0]["time"])
    meddler.known = [(i["line"], i["id"]) for i in random.Random(1).sample(everything, 400)]
    before = {(item["line"], item["id"]) for item in everything}
    meddler.start()
    items = page_through(client, 90)
    meddler.stop()
    keys = [(item["line"], item["id"]) for item in items]
    assert len(keys) == len(set(keys)), "an item was shown twice"
    missing = before - set(keys) - meddler.touched
    assert not missing, f"{len(missing)} items skipped, such as {sorted(missing)[:3]}"
    assert ordered(items)
    print(f"{len(items)} items over {len(LINES)} lines, {meddler.changes} changes meanwhile")
    assert meddler.changes > 20


def test_line_that_fails(client, sim, everything):
    """A page in between that misses a line loses nothing of it."""
    before = {(i["line"], i["id"]) for i in page_through(client, 100)}
    cursor, keys, turn, degraded = None, [], 0, 0
    while True:
        sim.fault("rebate", "error" if turn % 4 == 1 else "none")
        asked = {"cursor": cursor} if cursor else {}
        page = client.call("wallet.details", timeout=10, uid=UID, limit=100, deadline_ms=8000, **asked)
        keys += [(i["line"], i["id"]) for i in page["items"]]
        assert set(page["degraded"]) <= {"rebate"}
        degraded += page["degraded"] == ["rebate"]
        cursor = page["next"]
        turn += 1
        if cursor is None:
            break
        assert turn < 4 * ITEMS
    sim.fault("rebate", "none")
    assert len(keys) == len(set(keys)), "twice"
    assert set(keys) == before, f"{len(before - set(keys))} skipped"
    assert degraded > 3, degraded


def test_cursors(client, everything):
    page = client.call("wallet.details", uid=UID, limit=10)
    cursor = page["next"]
    flipped = cursor[:30] + ("A" if cursor[30] != "A" else "B") + cursor[31:]
    wrong = [
        {"uid": OTHER, "cursor": cursor}, {"uid": UID, "line": "cash", "cursor": cursor},
        {"uid": UID, "month": "2026-01", "cursor": cursor}, {"uid": UID, "kind": "coin", "cursor": cursor},
        {"uid": UID, "cursor": flipped}, {"uid": UID, "cursor": cursor[:-4]},
        {"uid": UID, "cursor": "AAAA"}, {"uid": UID, "cursor": "x" * 16384},
        {"uid": UID, "cursor": "x" * 20000}, {"uid": UID, "limit": 101}, {"uid": UID, "limit": 0},
        {"uid": UID, "month": "2026-13"}, {"uid": UID, "kind": "gold"}, {"uid": 0},
    ]
    for args in wrong:
        assert client.error("wallet.details", **args).code == "bad_request", args
    assert client.error("wallet.details", uid=UID, line="none").code == "not_found"
    again = client.call("wallet.details", uid=UID, limit=10, cursor=cursor)
    assert again["items"] == everything[10:20]


def month_of(ms):
    return time.strftime("%Y-%m", time.gmtime(ms / 1000))


def test_sums(client, sim, everything):
    items = page_through(client, 100)
    months = sorted({month_of(i["time"]) for i in items})
    for line in LINES:
        for month in [months[0], months[-1], None]:
            asked = {"month": month} if month else {}
            sums = client.call("wallet.summary", timeout=20, uid=UID, line=line, deadline_ms=18000,
                               **asked)
            mine = [i["amount"] for i in items
                    if i["line"] == line and (not month or month_of(i["time"]) == month)]
            assert sums["in"] == sum(a for a in mine if a > 0), (line, month, sums)
            assert sums["out"] == -sum(a for a in mine if a < 0), (line, month, sums)
            assert sums["count"] == len(mine), (line, month, sums)
            assert sums["as_of"] > 0
    before = sim.stats()["lines"]["rebate"]["calls"]
    client.call("wallet.summary", uid=UID, line="rebate", month=months[0])
    assert sim.stats()["lines"]["rebate"]["calls"] == before, "a past month is summed once"


def test_notice_drops(wallet, client, sim):
    """What was kept goes with the first notification."""
    month = month_of(time.time() * 1000)
    first = client.call("wallet.summary", uid=UID, line="cash", month=month)
    sim.details_add("cash", UID, time=int(time.time() * 1000), amount=4711)
    writer = wallet.writer()
    writer.call("notify.changed", line="cash", changes=[{"uid": UID}])
    writer.close()
    harness.until(lambda: client.call("wallet.summary", uid=UID, line="cash", month=month)["in"]
                  == first["in"] + 4711, 5, "the sums are new")


def test_cli(wallet):
    def ctl(*words, code=0):
        done = subprocess.run([harness.programs() / "walletctl", "-e", wallet.read, *words],
                              capture_output=True, text=True)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout
    assert len(ctl("details", str(UID), "--limit", "150").splitlines()) == 150
    page = json.loads(ctl("--json", "details", str(UID), "--line", "coin", "--limit", "5"))
    assert len(page["items"]) == 5 and isinstance(page["items"][0]["amount"], str)
    assert "CNY" in ctl("summary", str(UID), "cash")
    ctl("details", str(UID), "--line", "none", code=3)
    ctl("details", "x", code=2)
    ctl("summary", str(UID), "cash", "2026-99", code=1)


def main():
    wallet = harness.Wallet({"lines": {}}, {})
    sim = harness.LineSim(wallet, LINES, 10, owners=1, details=ITEMS).start()
    wallet.put("integration", integration(sim.urls))
    wallet.start()
    client = wallet.reader()
    everything = test_merged(client, sim)
    test_cursors(client, everything)
    test_while_it_changes(client, sim, everything)
    test_line_that_fails(client, sim, everything)
    test_sums(client, sim, everything)
    test_notice_drops(wallet, client, sim)
    test_cli(wallet)
    client.close()
    wallet.stop()
    sim.stop()


main()
