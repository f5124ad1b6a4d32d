"""Live lines as a reader sees them: asked when a page needs them, shown as the last good value with
its age when they do not answer in time, not asked while a copy is young enough. Nothing that must
be revalidated is shown as an amount while it cannot be; a version to reach is reached or named."""
import json
import os
import subprocess
import sys
import time

import harness

USERS = 40
DEADLINE_MS = 600
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",     # sync, must be revalidated
    "coin": "kind=coin,unit=bean,scale=0,zmq",     # sync
    "rebate": "kind=cashback,unit=CNY,scale=2,http",  # live
    "point": "kind=coin,unit=point,scale=0,zmq",   # live, shown a while longer
}
FRESH_MS = 400


def config(urls):
    cash = harness.line_config("cash", urls["cash"], fresh_ms=FRESH_MS, must_revalidate=True)
    coin = harness.line_config("coin", urls["coin"], unit="bean", scale=0)
    rebate = harness.line_config("cashback", urls["rebate"], fresh_ms=FRESH_MS)
    point = harness.line_config("coin", urls["point"], unit="point", scale=0, fresh_ms=FRESH_MS,
                                swr_ms=3600000)
    lines = {"cash": cash, "coin": coin, "rebate": rebate, "point": point}
    for line in lines.values():
        line.update(timeout_ms=1000, breaker_failures=1000, retry_base_ms=50)
    for line in "rebate", "point":
        lines[line]["mode"] = "live"
    page = harness.pages(lines)
    page["golden"] = [slot for slot in page["golden"] if slot["line"] in ("cash", "coin")]
    return {"lines": lines}, page


class Live:
    def __init__(self):
        self.wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []})
        self.sim = harness.LineSim(None, LINES, USERS, seed=11).start()
        lines, page = config(self.sim.urls)
        self.wallet.put("integration", lines)
        self.wallet.put("presentation", page)
        self.wallet.start()
        self.client = self.wallet.reader()
        self.truth = self.sim.truth()
        self.reads = 0

    def home(self, uid, **more):
        self.reads += 1
        return self.client.call("wallet.home", uid=uid, deadline_ms=DEADLINE_MS, **more)

    def item(self, uid, line, **more):
        home = self.home(uid, **more)
        [found] = [item for section in home["sections"] for item in section["items"]
                   if item["line"] == line]
        return found, home

    def calls(self, line):
        return self.sim.stats()["lines"][line]["calls"]

    def value(self, line, uid):
        asset = self.sim.truth().get((line, uid, ""))
        return None if asset is None or asset["state"] == "gone" else int(asset["amount"])

    def owner(self, line, but=()):
        """A user who owns something of this line."""
        return next(uid for name, uid, _ in sorted(self.truth) if name == line and uid not in but
                    and self.truth[name, uid, ""]["state"] == "available")

    def until_shown(self, uid, line, amount, seconds=20):
        def shown():
            return self.item(uid, line)[0]["amount"] == amount
        harness.until(shown, seconds, f"user {uid} sees {amount} of {line}")


def check_nobody_is_stored_yet(live):
    """Nothing is known of anybody: the lines are asked, and what they say is kept."""
    uid = live.owner("rebate")
    assert not live.client.call("wallet.has_assets", uids=[uid])["has"][0]
    item, home = live.item(uid, "rebate")
    assert item["amount"] == live.value("rebate", uid), item
    assert (item["source"], item["freshness"]) == ("line", "fresh"), item
    assert home["degraded"] == [], home
    harness.until(lambda: live.client.call("wallet.has_assets", uids=[uid])["has"][0], 20,
                  "what the line said is stored")


def check_young_copies_are_shown_without_asking(live):
    uid = live.owner("rebate")

    def young():
        before = live.calls("rebate"), live.calls("point")
        first, home = live.item(uid, "rebate")
        again, home = live.item(uid, "rebate")
        asked = (live.calls("rebate"), live.calls("point")) != before
        return again["source"] == "cache" and again["freshness"] == "fresh" and not asked

    # on a busy machine two reads may take longer than a copy is young
    harness.until(young, 30, "two reads, and the line was not asked", step=0)
    version = live.sim.change("rebate", uid)
    time.sleep(FRESH_MS / 1000 + 0.05)  # a copy of that age is not shown any more
    item, _ = live.item(uid, "rebate")
    assert item["version"] >= version and item["source"] == "line", (item, version)


def check_a_copy_is_shown_a_while_longer_and_asked_for_behind_it(live):
    uid = live.owner("point")
    live.until_shown(uid, "point", live.value("point", uid))
    version = live.sim.change("point", uid)
    time.sleep(FRESH_MS / 1000 + 0.05)
    live.sim.fault("point", "slow")  # nobody waits for it
    item, home = live.item(uid, "point")
    assert item["freshness"] == "refreshing" and item["amount"] is not None, item
    assert "point" not in home["degraded"], home["degraded"]
    live.sim.fault("point", "none")
    harness.until(lambda: live.item(uid, "point")[0]["version"] >= version, 20,
                  "the new value arrives behind the old one")


def check_balance_asks_in_any_case(live):
    for line in "rebate", "coin":
        uid = live.owner(line)
        for _ in range(3):
            version = live.sim.change(line, uid)
            reply = live.client.call("wallet.balance", uid=uid, line=line, deadline_ms=5000)
            [asset] = reply["assets"]
            # a tombstone is an answer, too: nothing is there then
            assert asset["amount"] == live.value(line, uid), (asset, live.value(line, uid))
            if asset["amount"] is not None:
                assert asset["version"] >= version and asset["source"] == "line", asset
            assert reply["degraded"] == [], reply
    live.client.error("wallet.balance", uid=uid, line="nothing")
    ctl = subprocess.run([harness.programs() / "walletctl", "-e", live.wallet.read, "--json",
                          "balance", str(uid), line], capture_output=True, text=True, check=True)
    assert json.loads(ctl.stdout)["uid"] == str(uid), ctl.stdout


def check_a_line_that_hangs(live):
    """Every reply comes in time, with the last good value and the line named in it."""
    uid = live.owner("rebate")
    good = live.value("rebate", uid)
    live.until_shown(uid, "rebate", good)
    live.sim.fault("rebate", "hang")
    time.sleep(FRESH_MS / 1000 + 0.05)
    for _ in range(5):
        item, home = live.item(uid, "rebate")  # an error would be raised: no deadline passed
        assert item["amount"] == good and item["source"] == "last_good", item
        assert item["freshness"] == "stale" and home["degraded"] == ["rebate"], home
    stranger = live.owner("rebate", but=[uid])
    item, home = live.item(stranger, "rebate")
    assert item["amount"] is None or item["freshness"] == "stale", item
    assert home["degraded"] == ["rebate"], home
    reply = live.client.call("wallet.balance", uid=uid, line="rebate", deadline_ms=DEADLINE_MS)
    assert reply["degraded"] == ["rebate"] and reply["assets"][0]["amount"] == good, reply
    live.sim.fault("rebate", "none")

    def well():
        item, home = live.item(uid, "rebate")
        return item["freshness"] == "fresh" and home["degraded"] == []

    harness.until(well, 30, "a line that answers again is shown so")


def check_cash_is_never_stale_and_spendable(live):
    uid = live.owner("cash")
    amount = live.value("cash", uid)
    live.wallet.writer().call("wallet.refresh", uid=uid, lines=["cash"])
    live.until_shown(uid, "cash", amount)
    live.sim.fault("cash", "error")
    time.sleep(FRESH_MS / 1000 + 0.05)
    item, home = live.item(uid, "cash")
    assert item["amount"] is None and item["pending"] is None, item
    assert item["last_good"] == amount and item["freshness"] == "stale", item
    assert home["degraded"] == ["cash"], home["degraded"]
    [section] = [section for section in home["sections"] if section["kind"] == "cash"]
    assert [total["amount"] for total in section["totals"]] in ([], [None]), section
    for page in home, live.client.call("wallet.golden", uid=uid):
        [slot] = [slot for slot in page["golden"] if slot["line"] == "cash"]
        assert slot["amount"] is None, slot
    live.sim.fault("cash", "none")
    live.until_shown(uid, "cash", amount)


def check_versions_to_reach(live):
    uid = live.owner("coin")
    version = live.sim.change("coin", uid)
    home = live.client.call("wallet.home", uid=uid, deadline_ms=5000, min_version={"coin": version})
    [item] = [item for section in home["sections"] for item in section["items"]
              if item["line"] == "coin"]
    if live.value("coin", uid) is not None:
        assert item["version"] >= version and item["amount"] == live.value("coin", uid), item
    assert "coin" not in home["degraded"], home["degraded"]
    before = live.calls("coin")
    item, home = live.item(uid, "coin", min_version={"coin": version + 1000})
    assert item["freshness"] == "refreshing" and "coin" in home["degraded"], item
    assert live.calls("coin") > before + 1, "it is asked again while there is time"
    for wrong in ({"coin": -1}, {"coin": "1"}, {"nothing": 1}, [1]):
        live.client.error("wallet.home", uid=uid, min_version=wrong)


def main():
    live = Live()
    checks = [check_nobody_is_stored_yet, check_young_copies_are_shown_without_asking,
              check_a_copy_is_shown_a_while_longer_and_asked_for_behind_it,
              check_balance_asks_in_any_case, check_a_line_that_hangs,
              check_cash_is_never_stale_and_spendable, check_versions_to_reach]
    for check in checks:
        try:
            check(live)
        except Exception:
            print(f"in {check.__name__}\n{live.wallet.tail()}", file=sys.stderr)
            raise
    asked = live.wallet.counter("live_asked")
    live.wallet.stop()
    live.sim.stop()
    harness.passed("live", checks=len(checks), reads=live.reads, asked=asked)


if __name__ == "__main__":
    os.chdir(harness.ROOT)
    sys.exit(main())
