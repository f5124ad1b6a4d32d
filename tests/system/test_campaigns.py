"""Campaigns as a reader sees them: a slot shows another line from the start to the end and not a
moment longer, gives way while the line cannot be asked, and to users who have nothing there."""
import datetime
import os
import signal
import subprocess
import sys
import time

import harness

LINES = {"cash": "kind=cash,unit=CNY,scale=2,http", "gift": "kind=coin,unit=bean,scale=0,http"}
OWNER, OTHER, NOBODY, PULLED = 100001, 100002, 100003, 7
AROUND_S = 0.05  # walletd's clock and ours are one, but both are rounded
ROUNDS = 5       # a machine that is busy for seconds may miss a campaign of two seconds


def text(seconds):
    """RFC 3339, as somebody in Shanghai would write it."""
    zone = datetime.timezone(datetime.timedelta(hours=8))
    return datetime.datetime.fromtimestamp(seconds, zone).isoformat(timespec="milliseconds")


class Shop:
    def __init__(self):
        self.sim = harness.LineSim(None, LINES, 20, seed=5).start()
        lines = {"cash": harness.line_config("cash", self.sim.urls["cash"]),
                 "gift": harness.line_config("coin", self.sim.urls["gift"], unit="bean", scale=0,
                                             breaker_failures=1, breaker_open_ms=300,
                                             retry_base_ms=50, retry_max_ms=200),
                 "help": {"kind": "link", "mode": "link", "title": "Help", "url": "app://help"}}
        self.wallet = harness.Wallet({"lines": lines}, self.page([])).start()
        self.client = self.wallet.reader()
        writer = self.wallet.writer()
        for line, users in ("cash", [OWNER, OTHER]), ("gift", [OWNER]):
            about = {key: lines[line][key] for key in ("kind", "unit", "scale")}
            writer.call("notify.assets", line=line, assets=[
                {"uid": uid, "version": 2**40, "amount": 500, **about} for uid in users])
        self.reads = 0
        harness.until(lambda: self.client.call("wallet.has_assets", uids=[OWNER, OTHER, NOBODY])
                      ["has"] == [True, True, False], 30, "the values are stored")
        harness.until(lambda: self.home(OWNER)["golden"][0]["amount"] == 500, 30, "and shown")
        self.wallet.wait_quiet()

    def page(self, golden, section=()):
        return {"golden": [{"line": "cash", "title": "Cash", "campaigns": golden}],
                "sections": [{"kind": "cash", "title": "", "lines": ["cash"]},
                             {"kind": "link", "title": "", "lines": [], "campaigns": list(section)}]}

    def show(self, golden, section=()):
        """Returns once readers show it."""
        self.wallet.put("presentation", self.page(golden, section))
        version = f"1.{self.wallet.versions['presentation']}"
        self.wallet.process.send_signal(signal.SIGHUP)
        harness.until(lambda: all(self.home(uid)["config_version"] == version
                                  for uid in (OWNER, OTHER, NOBODY)), 20, f"version {version}")

    def home(self, uid):
        self.reads += 1
        return self.client.call("wallet.home", uid=uid)

    def slot(self, uid):
        self.reads += 1
        return self.client.call("wallet.golden", uid=uid)["golden"][0]

    def shown(self, uid):
        """(line, campaign or None) of the first slot, the same on both pages."""
        slot = self.slot(uid)
        return slot["line"], slot.get("campaign")


def watch(shop, name, start, end):
    """Reads on until the campaign is over; the phases that were seen."""
    seen = set()
    while time.time() < end + 4 * AROUND_S:
        before = time.time()
        slot = shop.slot(OWNER)
        after = time.time()
        now = slot.get("campaign")
        assert now in (None, name) and slot["line"] == ("gift" if now else "cash"), slot
        if after < start - AROUND_S or before > end + AROUND_S:
            assert now is None, (slot, before - start)
            seen.add("before" if after < start else "after")
        elif before > start + AROUND_S and after < end - AROUND_S:
            assert now == name and slot["amount"] == 500, (slot, before - start)
            seen.add("while")
        time.sleep(0.005)
    return seen


def check_a_campaign_has_a_start_and_an_end(shop):
    for number in range(ROUNDS):
        start, end = time.time() + 2, time.time() + 4
        shop.show([{"id": f"r{number}", "line": "gift", "start": text(start), "end": text(end)}])
        if watch(shop, f"r{number}", start, end) == {"before", "while", "after"}:
            return
    raise AssertionError(f"not all of a campaign was seen in {ROUNDS} rounds")


def check_users_without_anything_see_the_next_one(shop):
    begun = text(time.time() - 3600)
    shop.show([{"id": "all", "line": "cash", "title": "For all", "start": begun},
               {"id": "owners", "line": "gift", "start": begun, "priority": 5,
                "unless": ["empty"]}],
              [{"id": "tour", "line": "help", "title": "Tour"}])
    assert shop.shown(OWNER) == ("gift", "owners")
    assert shop.shown(OTHER) == ("cash", "all")
    assert shop.shown(NOBODY) == ("cash", "all")  # nothing is stored of this one
    for uid in OWNER, OTHER, NOBODY:
        home = shop.home(uid)
        assert home["golden"][0].get("campaign") == ("owners" if uid == OWNER else "all"), home
        [item] = home["sections"][1]["items"]
        assert (item["campaign"], item["title"], item["link"]) == ("tour", "Tour", "app://help")
    assert shop.slot(OTHER)["title"] == "For all"
    ctl = subprocess.run([harness.programs() / "walletctl", "-e", shop.wallet.read, "home",
                          str(OWNER)], capture_output=True, text=True, check=True)
    assert "gift (owners)" in ctl.stdout and "help (tour)" in ctl.stdout, ctl.stdout


def check_a_sick_line_gives_way_until_it_is_well(shop):
    shop.show([{"id": "well", "line": "gift", "unless": ["sick"]}])
    assert shop.shown(OWNER) == ("gift", "well")
    assert shop.shown(NOBODY) == ("gift", "well")
    shop.sim.fault("gift", "error")
    shop.wallet.writer().call("notify.changed", line="gift", changes=[{"uid": PULLED}])
    harness.until(lambda: all(shop.shown(uid) == ("cash", None) for uid in (OWNER, OTHER, NOBODY)),
                  30, "the line is sick and the slot shows its own")
    shop.sim.fault("gift", "none")
    harness.until(lambda: all(shop.shown(uid) == ("gift", "well") for uid in (OWNER, OTHER, NOBODY)),
                  60, "the line is well and the campaign goes on")
    assert shop.slot(OWNER)["amount"] == 500


def main():
    shop = Shop()
    checks = [check_a_campaign_has_a_start_and_an_end,
              check_users_without_anything_see_the_next_one,
              check_a_sick_line_gives_way_until_it_is_well]
    for check in checks:
        try:
            check(shop)
        except Exception:
            print(f"in {check.__name__}\n{shop.wallet.tail()}", file=sys.stderr)
            raise
    shop.wallet.stop()
    shop.sim.stop()
    harness.passed("campaigns", checks=len(checks), reads=shop.reads)


if __name__ == "__main__":
    os.chdir(harness.ROOT)
    sys.exit(main())
