"""linesim itself, over HTTP and ZeroMQ: pages and sums that fit each other, every fault as it is
described, what it counts, and a scenario. A test that leans on it can trust it."""
import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import msgpack

import harness

LINES = {  # the second one is the same line at another endpoint
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "cashz": "as=cash,kind=cash,unit=CNY,scale=2,give_up=300,zmq",
    "bare": "kind=coin,unit=bean,scale=0,summary=no,http",
    "barez": "as=bare,kind=coin,unit=bean,scale=0,summary=no,zmq",
}
EACH = 250  # bookings of a user
SECRET = "correct horse battery staple"


class Http:
    """Asks a line over HTTP; anything but an answer is (what, detail)."""

    def __init__(self, url, line=None):
        self.host, self.port = urllib.parse.urlsplit(url).netloc.split(":")
        self.line = line

    def ask(self, method, path, body=b"", timeout=2.0, skew_s=0):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=timeout)
        headers = {}
        if self.line:
            now, nonce = str(int((time.time() + skew_s) * 1000)), "00" * 16
            bare, _, query = path.partition("?")
            text = "\n".join([method, bare, query, now, nonce, ""]).encode() + body
            headers = {"X-Wallet-Line": self.line, "X-Wallet-Time": now, "X-Wallet-Nonce": nonce,
                       "X-Wallet-Signature":
                           hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()}
        try:
            connection.request(method, path, body or None, headers)
            reply = connection.getresponse()
            content = reply.read()
        except TimeoutError:
            return "silent", None
        except ConnectionResetError:
            return "reset", None
        except http.client.RemoteDisconnected:
            return "closed", None
        except http.client.IncompleteRead:
            return "truncated", None
        finally:
            connection.close()
        if reply.status != 200:
            return reply.status, reply.headers.get("Retry-After")
        try:
            return "ok", json.loads(content)
        except ValueError:
            return "garbage", len(content)

    def assets(self, uids, **more):
        return self.ask("POST", "/assets", json.dumps({"uids": [str(u) for u in uids]}).encode(),
                        **more)

    def question(self, what, timeout=2.0, skew_s=0, **args):
        return self.ask("GET", f"/{what}?{urllib.parse.urlencode(args)}", timeout=timeout,
                        skew_s=skew_s)


class Zmq:
    """The same over ZeroMQ."""

    def __init__(self, url, line=None):
        self.url, self.line, self.client = url, line, harness.Client(url)

    def ask(self, method, signed, args, timeout=2.0, skew_s=0):
        if self.line:
            now, nonce = str(int((time.time() + skew_s) * 1000)), "00" * 16
            text = "\n".join(["ZMQ", method, "", now, nonce, signed]).encode()
            args = {**args, "line": self.line, "time": now, "nonce": nonce,
                    "signature": hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()}
        self.client.send(method, **args)
        try:
            reply = self.client.receive(timeout)
        except (msgpack.UnpackException, ValueError):
            return "garbage", None
        if reply is None:
            return "silent", None
        _, error, result = reply
        return ("ok", result) if error is None else (error["code"], error.get("retry_after_ms"))

    def again(self):
        """Another connection."""
        self.client.close()
        self.client = harness.Client(self.url)

    def assets(self, uids, **more):
        return self.ask("assets", ",".join(map(str, uids)), {"uids": uids}, **more)

    def question(self, what, timeout=2.0, skew_s=0, **args):
        keys = ("uid", "month", "cursor", "limit")[:4 if what == "details" else 2]
        signed = "\n".join(str(args.get(key) or "") for key in keys)
        return self.ask(what, signed, args, timeout, skew_s)


def every_item(line, uid, limit=100, between=lambda: None, **more):
    """All items in pages; `between` runs after each page."""
    items, cursor = [], {}
    while True:
        verdict, page = line.question("details", uid=uid, limit=limit, **cursor, **more)
        assert verdict == "ok", (verdict, page)
        assert len(page["items"]) <= min(limit, 100), len(page["items"])
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}
        between()


def month_of(item):
    return time.strftime("%Y-%m", time.gmtime(item["time"] / 1000))


def sums_of(items):
    amounts = [int(item["amount"]) for item in items]
    return {"in": str(sum(a for a in amounts if a > 0)), "count": len(items), "unit": "CNY",
            "out": str(-sum(a for a in amounts if a < 0)), "scale": 2}


def check_details(sim, line, twin):
    items = every_item(line, 7)
    assert len(items) == EACH and items == every_item(twin, 7, limit=1000), len(items)
    order = [(item["time"], item["id"]) for item in items]
    assert order == sorted(set(order), reverse=True)
    assert len({t for t, _ in order}) < EACH, "some times are equal"
    for item in items:
        assert isinstance(item["id"], str) and isinstance(item["time"], int), item
        assert str(int(item["amount"])) == item["amount"] and item["unit"] == "CNY", item
    months = sorted({month_of(item) for item in items})
    assert len(months) > 2
    assert line.question("summary", uid=7) == ("ok", sums_of(items))
    for month in months:
        of_month = [item for item in items if month_of(item) == month]
        assert every_item(line, 7, limit=7, month=month) == of_month
        assert line.question("summary", uid=7, month=month) == ("ok", sums_of(of_month))
    assert line.question("details", uid=999999) == ("ok", {"items": [], "next": None})
    assert len(line.question("details", uid=7)[1]["items"]) == 20
    cursor = line.question("details", uid=7, limit=3)[1]["next"]
    bad = 400 if isinstance(line, Http) else "bad_request"
    for wrong in ({"uid": 8, "cursor": cursor}, {"uid": 7, "cursor": cursor[:-1] + "x"},
                  {"uid": 7, "month": "2026-13"}, {"uid": 7, "month": months[0], "cursor": cursor}):
        assert line.question("details", **wrong)[0] == bad, wrong


def check_edits(sim, line, uid):
    """What is there throughout comes once, while others come and go."""
    before = every_item(line, uid)
    gone, added = set(), set()

    def edit():
        victim = before[(len(gone) * 37 + 11) % len(before)]
        if sim.details_delete("cash", uid, victim["id"]):
            gone.add(victim["id"])
        assert not sim.details_delete("cash", uid, victim["id"])
        added.add(sim.details_add("cash", uid, time=before[len(added) * 5 % EACH]["time"], amount=-5,
                                  title="Tea & co")["id"])
        added.add(sim.details_add("cash", uid)["id"])

    shown = [item["id"] for item in every_item(line, uid, limit=9, between=edit)]
    assert len(set(shown)) == len(shown)
    stayed = {item["id"] for item in before} - gone
    assert stayed <= set(shown) and len(gone) > 10, stayed - set(shown)
    after = every_item(line, uid)
    assert {item["id"] for item in after} == stayed | added
    assert line.question("summary", uid=uid) == ("ok", sums_of(after))


def check_not_offered(sim):
    web, zmq = Http(sim.urls["bare"]), Zmq(sim.urls["barez"])
    assert web.question("summary", uid=1)[0] == 404
    assert zmq.question("summary", uid=1)[0] == "not_found"
    assert web.question("details", uid=1, limit=1) == zmq.question("details", uid=1, limit=1)
    assert web.question("nothing", uid=1)[0] == 404
    assert web.question("details", uid="x")[0] == 400


def check_contents(sim, name, line):
    """Faults that an answer can carry, on both transports alike."""
    web = isinstance(line, Http)
    good = line.assets([1, 2])[1]["assets"]
    money = line.question("summary", uid=1)[1]
    page = line.question("details", uid=1, limit=3)[1]

    def sick(fault, **more):
        sim.fault(name, fault, **more)
        return line.assets([1, 2], **({"timeout": 20.0} if fault == "huge" else {}))

    assert sick("error")[0] == (500 if web else "internal")
    assert sick("unavailable")[0] == (503 if web else "unavailable")
    assert sick("busy", ms=1200) == ((429, "2") if web else ("busy", 1200))
    assert sick("garbage")[0] == "garbage"
    assert sick("truncated")[0] == ("truncated" if web else "garbage")
    if web:  # over ZeroMQ the client would have to take 100 MB of nothing
        assert sick("huge") == ("garbage", 100000000)
    assert sick("empty") == ("ok", {"assets": []})
    assert line.question("summary", uid=1)[1]["count"] == 0
    assert line.question("details", uid=1) == ("ok", {"items": [], "next": None})
    lied = sick("lie-user")[1]["assets"]
    assert [int(a["uid"]) for a in lied] == [int(a["uid"]) + 1000000 for a in good]
    assert isinstance(sick("lie-float")[1]["assets"][0]["amount"], float)
    assert isinstance(line.question("summary", uid=1)[1]["in"], float)
    assert int(sick("lie-big")[1]["assets"][0]["amount"]) > 2**63
    assert int(line.question("details", uid=1)[1]["items"][0]["amount"]) > 2**63
    jumped = sick("version-jump")[1]["assets"]
    assert [int(a["version"]) for a in jumped] == [int(a["version"]) + 10**12 for a in good]
    assert all(int(a["amount"]) != int(b["amount"]) for a, b in zip(jumped, good))
    skewed = sick("clock-skew", ms=-86400000)[1]["assets"]
    assert [a["changed_at"] for a in skewed] == [a["changed_at"] - 86400000 for a in good]
    late = line.question("details", uid=1, limit=3)[1]
    assert [i["time"] for i in late["items"]] == [i["time"] - 86400000 for i in page["items"]]
    begun = time.monotonic()
    assert sick("slow", ms=400)[1]["assets"] == good and time.monotonic() - begun >= 0.4
    sim.fault(name, "flapping", ms=200)
    seen = [line.assets([1])[0] == "ok" for _ in range(40) if time.sleep(0.02) is None]
    turns = sum(a != b for a, b in zip(seen, seen[1:]))
    assert not seen[0] and turns >= 2, seen
    sim.fault(name, "error", rate=0.5)
    share = sum(line.assets([1])[0] == "ok" for _ in range(100))
    assert 20 < share < 80, share
    sim.fault(name, "none")
    assert line.assets([1, 2])[1]["assets"] == good
    assert line.question("summary", uid=1) == ("ok", money)


def check_http_wire(sim, line):
    sim.fault("cash", "hang")
    assert line.assets([1], timeout=0.3)[0] == "silent"
    verdicts = []
    waiting = threading.Thread(target=lambda: verdicts.append(line.assets([1], timeout=10.0)[0]))
    waiting.start()
    harness.until(lambda: sim.stats()["lines"]["cash"]["concurrent"] == 1, 5, "one call hangs")
    sim.fault("cash", "half-open")
    waiting.join(5)
    assert verdicts[0] in ("closed", "reset"), verdicts
    waiting = threading.Thread(target=lambda: verdicts.append(line.assets([1], timeout=10.0)[0]))
    waiting.start()
    harness.until(lambda: sim.stats()["lines"]["cash"]["concurrent"] == 1, 5, "one call is caught")
    sim.fault("cash", "rst")
    waiting.join(5)
    assert verdicts[1:] == ["reset"], verdicts
    assert line.assets([1])[0] == "reset"
    sim.fault("cash", "drip", ms=5)
    begun = time.monotonic()
    assert line.question("summary", uid=1, timeout=10.0)[0] == "ok"
    assert time.monotonic() - begun > 0.15
    sim.fault("cash", "drip", ms=200)
    with socket.create_connection((line.host, int(line.port)), timeout=5) as raw:
        raw.sendall(b"GET /summary?uid=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        harness.until(lambda: raw.recv(1) == b"{", 5, "the body begins", step=0)
        begun = time.monotonic()
        raw.recv(100)
        assert time.monotonic() - begun > 0.1, "and goes on byte by byte"
        sim.fault("cash", "none")
        rest = harness.until(lambda: raw.recv(1000), 5, "healed: the rest comes")
        assert len(rest) > 1
    assert line.assets([1])[0] == "ok"


def check_zmq_wire(sim, line):
    sim.fault("cashz", "hang")
    assert line.assets([1], timeout=0.2)[0] == "silent"
    sim.fault("cashz", "none")
    assert line.assets([1])[0] == "ok"
    for again in (False, True):  # on the connection that stands, and on a new one
        sim.fault("cashz", "half-open")
        if again:
            line.again()
        assert line.assets([1], timeout=0.3)[0] == "silent"
        sim.fault("cashz", "none")
        line.again()
        assert line.assets([1])[0] == "ok"
    before = sim.stats()["lines"]["cashz"]["faults_injected"]
    sim.fault("cashz", "rst")
    assert line.assets([1], timeout=0.5)[0] == "silent"
    assert sim.stats()["lines"]["cashz"]["faults_injected"] > before
    sim.fault("cashz", "none")
    line.again()
    assert line.assets([1])[0] == "ok"
    sim.fault("cashz", "drip", ms=20)
    begun = time.monotonic()
    assert line.question("summary", uid=1, timeout=20.0)[0] == "ok"
    assert time.monotonic() - begun > 0.3, "a byte each turn"
    sim.fault("cashz", "none")


def check_counts(sim, line, twin):
    sim.fault("", "none")
    sim.reset()
    for _ in range(5):
        line.assets([1, 2, 3])
    line.question("details", uid=1)
    line.question("summary", uid=1)
    found = sim.stats()["lines"]["cash"]
    expected = {"calls": 7, "assets": 5, "details": 1, "summary": 1, "users": 17, "peak_1s": 7,
                "early": 0, "repeated": 0, "faults_injected": 0}
    slow = time.monotonic()  # a second may pass on a busy machine
    assert {k: found[k] for k in expected if k != "peak_1s"} == {
        k: v for k, v in expected.items() if k != "peak_1s"}, found
    assert 1 <= found["peak_1s"] <= 7 and found["concurrent"] == 0, (found, slow)
    # Calls that overlap, seen from the line.
    sim.fault("cash", "slow", ms=600)
    threads = [threading.Thread(target=line.assets, args=([1],)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sim.stats()["lines"]["cash"]["concurrent_max"] == 6
    sim.fault("cash", "hang")
    sim.reset("cash")
    for _ in range(5):  # one after the other: each has hung up before the next one comes
        assert line.assets([1], timeout=0.15)[0] == "silent"
    assert sim.stats()["lines"]["cash"]["concurrent_max"] == 1
    sim.fault("cashz", "hang")
    for _ in range(4):  # two within the 300 ms that callers wait
        twin.assets([1], timeout=0.16)
    assert 1 <= sim.stats()["lines"]["cashz"]["concurrent_max"] <= 2
    # Who asks again, and who does not wait.
    for name, asked in (("cash", line), ("cashz", twin)):
        sim.fault(name, "none")
        asked.assets([1, 5])
        sim.reset(name)
        sim.fault(name, "busy", ms=1000)
        asked.assets([5])
        sim.fault(name, "none")
        time.sleep(0.2)  # no condition: the time itself is what is told
        asked.assets([4, 5])
        asked.assets([5])
        found = sim.stats()["lines"][name]
        assert found["repeated"] == 1 and found["early"] == 2, (name, found)
        time.sleep(0.9)
        asked.assets([5])
        assert sim.stats()["lines"][name]["early"] == 2


def check_signed():
    keys = harness.folder()
    (keys / "key").write_text(SECRET + "\n")
    sim = harness.LineSim(None, LINES, 10, owners=1, secret_file=keys / "key", scenario=scenario([
        {"at_ms": 0, "line": "bare", "fault": "clock-skew", "ms": 400000},
        {"at_ms": 0, "line": "barez", "fault": "clock-skew", "ms": -400000}])).start()
    for name, kind, refused in (("cash", Http, 401), ("cashz", Zmq, "unauthorized")):
        line, stranger = kind(sim.urls[name], name), kind(sim.urls[name])
        cursor = line.question("details", uid=1, limit=2)[1]["next"]
        for good in (line.assets([1, 2]), line.question("summary", uid=1, month="2026-05"),
                     line.question("details", uid=1, month="", cursor=cursor, limit=7)):
            assert good[0] == "ok", good
        assert stranger.question("details", uid=1)[0] == refused
        assert line.question("details", uid=1)[0] == "ok"
        assert line.question("details", uid=1, limit=2, skew_s=-400)[0] == refused
        assert sim.stats()["lines"][name]["unsigned"] == 2
    for name, kind in (("bare", Http), ("barez", Zmq)):  # its own clock is off
        line = kind(sim.urls[name], name)
        skew_s = 400 if name == "bare" else -400
        harness.until(lambda: line.assets([1])[0] != "ok", 5, "the scenario has begun")
        assert line.assets([1], skew_s=skew_s)[0] == "ok"
    sim.stop()


def scenario(steps):
    path = harness.folder() / "scenario.json"
    path.write_text(json.dumps(steps))
    return path


def check_scenario():
    sim = harness.LineSim(None, LINES, 10, owners=1, scenario=scenario([
        {"at_ms": 1200, "fault": "none", "note": "over"},
        {"at_ms": 0, "line": "cash", "fault": "error"},
        {"at_ms": 600, "line": "cash", "fault": "busy", "ms": 3000},
        {"at_ms": 0, "line": "cashz", "fault": "unavailable"}])).start()
    line, twin, seen = Http(sim.urls["cash"]), Zmq(sim.urls["cashz"]), []
    assert twin.assets([1])[0] in ("unavailable", "ok")

    def next_one():
        verdict = line.assets([1])
        if not seen or seen[-1] != verdict[0]:
            seen.append(verdict[0])
        return verdict[0] == "ok" and len(seen) > 1
    harness.until(next_one, 10, "the day is over", step=0.02)
    assert seen in ([500, 429, "ok"], ["ok", 500, 429, "ok"]), seen
    assert twin.assets([1])[0] == "ok"
    sim.stop()


def check_usage():
    program = harness.programs() / "linesim"

    def run(*words):
        return subprocess.run([program, *words], capture_output=True, text=True, timeout=20)
    done = run("--help")
    for word in ("--scenario", "--details", "hang", "drip", "half-open", "rst", "error",
                 "unavailable", "busy", "garbage", "truncated", "lie-user", "lie-float", "lie-big",
                 "version-jump", "clock-skew", "flapping", "slow", "huge", "empty"):
        assert f" {word} " in done.stdout, word
    for words, reason in (
            (("--line", "cash,http=1,fault=sick"), "fault must name a fault"),
            (("--line", "cash,http=1,fault=slow,ms=x"), "is not understood"),
            (("--line", "cash,http=1,as=coin"), "as=coin"),
            (("--line", "cash,http=1", "--scenario", scenario([{"at_ms": 0}])), "step 0 fault"),
            (("--line", "cash,http=1", "--scenario",
              scenario([{"at_ms": 0, "line": "coin", "fault": "none"}])), "no line coin")):
        done = run(*words)
        assert done.returncode == 2 and reason in done.stderr.replace(":", ""), (words, done)


def main():
    sim = harness.LineSim(None, LINES, 100, owners=1, keep=True, details=EACH, seed=3).start()
    line, twin = Http(sim.urls["cash"]), Zmq(sim.urls["cashz"])
    check_details(sim, line, twin)
    check_details(sim, twin, line)
    check_edits(sim, line, 11)
    check_edits(sim, twin, 12)
    check_not_offered(sim)
    check_contents(sim, "cash", line)
    check_contents(sim, "cashz", twin)
    check_http_wire(sim, line)
    check_zmq_wire(sim, twin)
    check_counts(sim, line, twin)
    version = int(line.assets([9])[1]["assets"][0]["version"])
    assert sim.change("cashz", 9) == version + 1, "another endpoint, the same asset"
    assert int(line.assets([9])[1]["assets"][0]["version"]) == version + 1
    sim.stop()
    check_signed()
    check_scenario()
    check_usage()
    harness.passed("linesim")


if __name__ == "__main__":
    sys.exit(main())
