"""A line's worst day: every fault on lines of both transports and of both kinds (synchronised, and
asked live), all of them on one page with lines that are well, which are in a process of their own.

 - wallet.home answers within the deadline that was given, whatever its lines do;
 - what it shows was true once; "fresh" means that no newer value was known; the rest says so;
 - the lines that are well do not become slower;
 - a sick line, and one in a flood, gets no more than its rate, its concurrency and its quota, and
   nothing at all while it has said "wait": linesim counts.

Calm and sick phases take turns, so that both meet the same machine. Times are measured in a Python
client beside everything else: DEADLINE_NOISE_MS says how much a single answer may be late for that,
the median may not; one in a hundred may be the error "deadline", as the machine stands still at
times. WALLET_TEST_FLOOD_S is the length of the flood; arguments name the only faults.
"""
import collections
import datetime
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time

import msgpack
import zmq

import harness

USERS, SEED = 60, 7
DEADLINE_MS = 120
DEADLINE_NOISE_MS = 80  # of the 99th percentile; see above
CALM_S, SICK_S, SETTLE_S = 0.6, 1.4, 0.2
GRACE_S = 1.5        # so long after it was acknowledged an old value may still count as fresh
HEALTHY_FACTOR = 2.0  # of the p99 without faults; 1.2 is what a quiet machine shows
HEALTHY_FLOOR = 0.008  # seconds; below it two busy cores make more noise than a sick line
FLOOD_S = float(os.environ.get("WALLET_TEST_FLOOD_S", "12"))
FLOOD_USERS, QUOTA = 2000, 60
TIMEOUT_MS = 250
GIVE_UP_MS = TIMEOUT_MS * 6 // 10  # a slow process must not count calls that are long over
PATIENTS = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": f"kind=coin,unit=bean,scale=0,give_up={GIVE_UP_MS},zmq",
    "bank": "kind=cash,unit=CNY,scale=2,told=no,http",
    "card": f"kind=coin,unit=bean,scale=0,told=no,give_up={GIVE_UP_MS},zmq",
}
HEALTHY = {
    "rebate": "kind=cash,unit=CNY,scale=2,http",
    "point": f"kind=coin,unit=bean,scale=0,give_up={GIVE_UP_MS},zmq",
    "fund": "kind=cash,unit=CNY,scale=2,told=no,http",
    "mile": f"kind=coin,unit=bean,scale=0,told=no,give_up={GIVE_UP_MS},zmq",
}
FLOODED = {
    "tide": "kind=cash,unit=CNY,scale=2,http",
    "wave": f"kind=coin,unit=bean,scale=0,give_up={GIVE_UP_MS},zmq",
    "drop": "kind=cash,unit=CNY,scale=2,http",
    "surf": "kind=cash,unit=CNY,scale=2,told=no,http",
    "foam": f"kind=coin,unit=bean,scale=0,told=no,give_up={GIVE_UP_MS},zmq",
    "mist": f"kind=coin,unit=bean,scale=0,told=no,give_up={GIVE_UP_MS},zmq",
}
LIVE = ("bank", "card", "fund", "mile", "surf", "foam", "mist")
LIMITED = ("drop", "mist")  # by a quota
FAULTS = {  # name: milliseconds of linesim, None = its own
    "hang": None, "drip": 100, "half-open": None, "rst": None, "error": None, "unavailable": None,
    "busy": 1000, "garbage": None, "truncated": None, "lie-user": None, "lie-float": None,
    "lie-big": None, "version-jump": None, "clock-skew": None, "flapping": 300, "slow": 600,
    "huge": None, "empty": None,
}
QUIET = ("flapping", "empty")  # faults that a page need not show


def truth_at(line, uid, version):
    lines = PATIENTS if line in PATIENTS else HEALTHY
    return harness.line_value(SEED, list(lines).index(line), uid, version, keep=True)


class Known:
    """Versions that walletd could know, from files of "line uid version" rows that only grow."""

    def __init__(self, paths):
        self.files = [open(path) for path in paths]
        self.rows = collections.deque()  # (when, line, uid, version), not yet old enough
        self.versions = {}

    def look(self):
        now = time.monotonic()
        for file in self.files:
            while True:
                place = file.tell()
                row = file.readline()
                if not row.endswith("\n"):
                    file.seek(place)
                    break
                line, uid, version = row.split()
                self.rows.append((now, line, int(uid), int(version)))
        while self.rows and self.rows[0][0] < now - GRACE_S:
            _, line, uid, version = self.rows.popleft()
            key = line, uid
            self.versions[key] = max(self.versions.get(key, 0), version)


def reader(endpoint):
    socket = zmq.Context().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(endpoint)
    return socket


def ask(socket, msgid, method, **args):
    """(seconds, error, result)"""
    begun = time.monotonic()
    socket.send_multipart([b"", msgpack.packb([0, msgid, method, [args]])])
    while True:
        if not socket.poll(10000):
            return time.monotonic() - begun, {"code": "none", "message": "no reply in 10 s"}, None
        _, answered, error, result = msgpack.unpackb(socket.recv_multipart()[-1])
        if answered == msgid:
            return time.monotonic() - begun, error, result


def judge_item(item, uid, known, wrong):
    """What is shown was true; what is called fresh is not older than what was known."""
    key = item["line"], uid
    if item["amount"] is None:
        if item["freshness"] in ("fresh", "refreshing"):
            wrong.append(("no amount, and not said why", key, item))
        return
    shown = item["amount"], item["count"] or 0, item["pending"] or 0
    if truth_at(item["line"], uid, item["version"]) != shown:
        wrong.append(("never true", key, item))
    if item["freshness"] == "fresh" and item["version"] < known.get(key, 0):
        wrong.append(("old, and called fresh", key, known[key], item))


def read_homes(endpoint, journals, pipe):
    """Reads homes, one after the other. Tells for each phase: latencies, what was wrong, and for
    each line how often it was shown in which way."""
    socket, known, pick = reader(endpoint), Known(journals), random.Random(1)
    latencies, wrong, shown, overdue, msgid = [], [], {}, 0, 0
    while True:
        known.look()
        uid, msgid = pick.randint(1, USERS), msgid + 1
        elapsed, error, home = ask(socket, msgid, "wallet.home", uid=uid, deadline_ms=DEADLINE_MS)
        latencies.append(elapsed)
        if error and error["code"] == "deadline":
            overdue += 1
        elif error or home["uid"] != uid:
            wrong.append(("error", uid, error))
        home = home or {"sections": [], "degraded": []}
        for item in (item for section in home["sections"] for item in section["items"]):
            judge_item(item, uid, known.versions, wrong)
            ways = shown.setdefault(item["line"], collections.Counter())
            ways[item["freshness"]] += 1
            ways["named"] += item["line"] in home["degraded"]
        time.sleep(0.002)  # a client has something else to do, too
        if pipe.poll():
            if pipe.recv() == "end":
                return
            pipe.send((latencies, wrong[:5], {k: dict(v) for k, v in shown.items()}, overdue))
            latencies, wrong, shown, overdue = [], [], {}, 0


def read_healthy(endpoint, lines, pipe):
    """The same for the lines that are well, alone."""
    socket, pick, latencies, wrong, msgid = reader(endpoint), random.Random(2), [], [], 0
    while True:
        uid, msgid = pick.randint(1, USERS), msgid + 1
        elapsed, error, result = ask(socket, msgid, "wallet.assets", uid=uid, lines=lines,
                                     deadline_ms=2000)
        latencies.append(elapsed)
        if error:
            wrong.append(("error", uid, error))
        for asset in [] if error else result["assets"]:
            if truth_at(asset["line"], uid, asset["version"])[0] != asset["amount"]:
                wrong.append(("never true", uid, asset))
        time.sleep(0.002)
        if pipe.poll():
            if pipe.recv() == "end":
                return
            pipe.send((latencies, wrong[:5]))
            latencies, wrong = [], []


class Watcher:
    def __init__(self, body, *arguments):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=body, args=(*arguments, other), daemon=True)
        self.process.start()

    def take(self):
        self.pipe.send("more")
        assert self.pipe.poll(30), "a reader has stopped"
        found = self.pipe.recv()
        assert not found[1], found[1]
        return found

    def end(self):
        self.pipe.send("end")
        self.process.join(10)


def limits_of(line):
    if line in FLOODED:
        return {"rate": 60, "burst": 10, "concurrency": 3}
    return {"rate": 200, "burst": 40, "concurrency": 4}


def retries_allowed(pulls, seconds):
    """A fifth of the pulls, and what lets a line find out that it is well: one a second within the
    budget, one a second beyond it, and 100 saved up of the pulls before."""
    return 0.2 * pulls + 2 * seconds + 100


class Day:
    def __init__(self):
        self.keys = harness.folder()
        (self.keys / "demo").write_text("correct horse battery staple\n")
        self.wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                                     server__secrets_dir=self.keys)
        self.changes = self.keys / "changes"  # of live lines, which tell nobody
        self.changes.touch()
        more = dict(kind="release", owners=1, keep=True, secret_file=self.keys / "demo")
        self.journals = [self.keys / name for name in ("patients", "healthy")]
        for journal in self.journals:
            journal.touch()
        self.patients = harness.LineSim(self.wallet, PATIENTS, USERS, seed=SEED, batch=5,
                                        journal=self.journals[0], **more)
        self.healthy = harness.LineSim(self.wallet, HEALTHY, USERS, seed=SEED, batch=5,
                                       journal=self.journals[1], **more)
        self.flooded = harness.LineSim(self.wallet, FLOODED, FLOOD_USERS, latency_ms=20, **more)
        self.sims = [self.patients, self.healthy, self.flooded]
        self.configure()
        self.wallet.start()
        for sim in self.sims:
            sim.start()
        self.client, self.admin = self.wallet.reader(), self.wallet.writer()
        for line in self.told():
            self.admin.call("notify.changed", line=line,
                            changes=[{"uid": uid} for uid in range(1, USERS + 1)])
        self.wallet.wait_quiet(30)

    def configure(self):
        self.config = {}
        for sim in self.sims:
            for line, url in sim.urls.items():
                cash = "unit=CNY" in {**PATIENTS, **HEALTHY, **FLOODED}[line]
                config = harness.line_config(
                    "cash" if cash else "coin", url, unit="CNY" if cash else "bean",
                    scale=2 if cash else 0, secret="demo", timeout_ms=TIMEOUT_MS,
                    breaker_failures=50 if line in FLOODED else 5, breaker_open_ms=300, attempts_max=1000, retry_base_ms=50,
                    retry_max_ms=400, batch_max=20, **limits_of(line))
                if line in LIVE:
                    config.update(mode="live", details=True, details_fresh_ms=0)
                if line in LIMITED:
                    config["quota"] = QUOTA
                if line not in FLOODED:
                    config["sanity"] = {"version_ahead_max": "100000"}
                self.config[line] = config
        page = {line: c for line, c in self.config.items() if line not in FLOODED}
        self.wallet.put("integration", {"lines": self.config})
        self.wallet.put("presentation", {
            **harness.pages(page),
            "golden": [{"line": line, "title": line, "link": f"app://{line}"} for line in page
                       if line not in LIVE]})

    def told(self):
        return [line for line in (*PATIENTS, *HEALTHY) if line not in LIVE]

    def work(self, seconds):
        """Live lines change; told ones do so by themselves."""
        end = time.monotonic() + seconds
        pick = random.Random(end)
        while time.monotonic() < end:
            sim = pick.choice((self.patients, self.healthy))
            line = pick.choice([line for line in sim.urls if line in LIVE])
            uid = pick.randint(1, USERS)
            version = sim.change(line, uid)
            with open(self.changes, "a") as file:
                file.write(f"{line} {uid} {version}\n")
            time.sleep(0.05)

    def check_limits(self, sim, lines, what):
        """What linesim counted since the last reset."""
        stats = sim.stats()["lines"]
        for line in lines:
            limits, found = limits_of(line), stats[line]
            most = limits["rate"] + limits["burst"]
            # What leaves at an even pace may arrive bunched by a few.
            assert found["peak_1s"] <= most + max(3, most // 20), (what, line, found)
            assert found["concurrent_max"] <= limits["concurrency"], (what, line, found)
            assert found["early"] == 0, (what, line, "was asked while it had said wait", found)
        return stats

    def settled(self):
        """Do all pages show the truth, and nobody is named?"""
        truth = {key[:2]: int(asset["version"]) for sim in (self.patients, self.healthy)
                 for key, asset in sim.truth().items()}
        for uid in range(1, USERS + 1):
            home = self.client.call("wallet.home", uid=uid, deadline_ms=1000)
            if home["degraded"]:
                return False
            for item in (item for section in home["sections"] for item in section["items"]):
                if item["amount"] is None or item["version"] != truth[item["line"], uid]:
                    return False
        return True


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def ms(seconds):
    return round(seconds * 1000, 1)


class Matrix:
    """Calm and sick phases in turn."""

    def __init__(self, day):
        self.day = day
        day.patients.burst(10**9, rate=40)
        day.healthy.burst(10**9, rate=40)
        self.homes = Watcher(read_homes, day.wallet.read, [*day.journals, day.changes])
        self.well = Watcher(read_healthy, day.wallet.read, list(HEALTHY))
        self.calm, self.sick = [], []        # latencies of the lines that are well
        self.latencies, self.rounds = [], []  # of homes, while lines are sick
        self.overdue = 0
        day.work(1.0)

    def round(self, fault):
        day = self.day
        day.work(SETTLE_S)
        self.homes.take(), self.well.take()
        day.work(CALM_S)
        self.homes.take()
        self.calm += self.well.take()[0]
        day.patients.fault("", fault, **({"ms": FAULTS[fault]} if FAULTS[fault] else {}))
        day.patients.reset()
        day.healthy.reset()
        day.work(SICK_S)
        homes, _, shown, overdue = self.homes.take()
        well = self.well.take()[0]
        stats = day.check_limits(day.patients, PATIENTS, fault)
        day.check_limits(day.healthy, HEALTHY, fault)
        day.patients.fault("", "none")
        self.latencies += homes
        self.overdue += overdue
        self.sick += well
        self.judge(fault, stats, shown)
        self.rounds.append((fault, len(homes), ms(percentile(homes, 0.99)),
                            ms(percentile(well, 0.99))))

    def judge(self, fault, stats, shown):
        """The fault was real, and the page said so; nobody else was accused."""
        for line in PATIENTS:
            met = stats[line]["faults_injected"] + stats[line]["unsigned"]
            # A line that is well has no connection of its own to be half-open or to drip.
            assert met > 0 or fault in ("half-open", "drip"), (fault, line, stats[line])
            ways = shown.get(line, {})
            marked = sum(n for way, n in ways.items() if way != "fresh")
            assert marked > 0 or fault in QUIET, (fault, line, "is shown as fresh all the time", ways)
        for line in HEALTHY:
            assert not shown[line].get("named"), (fault, line, "is well, and was named", shown[line])
            assert set(shown[line]) <= {"fresh", "refreshing", "named"}, (fault, line, shown[line])

    def end(self):
        day = self.day
        day.work(SETTLE_S)
        for sim in (day.patients, day.healthy):
            sim.burst(0)
        self.homes.end(), self.well.end()
        median, late = statistics.median(self.latencies), percentile(self.latencies, 0.99)
        assert median * 1000 <= DEADLINE_MS + 5, f"the median home took {ms(median)} ms"
        assert late * 1000 <= DEADLINE_MS + 5 + DEADLINE_NOISE_MS, (
            f"one home of a hundred took {ms(late)} ms: {self.rounds}")
        assert self.overdue <= max(2, len(self.latencies) // 100), (
            f"{self.overdue} of {len(self.latencies)} homes were the error deadline")
        calm, sick = percentile(self.calm, 0.99), percentile(self.sick, 0.99)
        assert sick <= HEALTHY_FACTOR * max(calm, HEALTHY_FLOOR), (
            f"p99 of healthy lines went from {ms(calm)} to {ms(sick)} ms: {self.rounds}")
        return {"homes": len(self.latencies), "overdue": self.overdue, "home_p50_ms": ms(median), "home_p99_ms": ms(late),
                "home_max_ms": ms(max(self.latencies)), "healthy_calm_p99_ms": ms(calm),
                "healthy_sick_p99_ms": ms(sick), "healthy_ratio": round(sick / calm, 2),
                "healthy_reads": len(self.sick)}


def check_pause(day):
    """429 with Retry-After: that line alone pauses, and is asked again when the time is over."""
    others = [line for line in (*PATIENTS, *HEALTHY) if line != "cash"]
    day.patients.burst(10**9, rate=60)
    day.healthy.burst(10**9, rate=60)
    day.patients.fault("cash", "busy", ms=2000)
    harness.until(lambda: day.patients.stats()["lines"]["cash"]["faults_injected"] > 0, 10,
                  "the line says wait")
    day.work(0.3)  # what was on its way when it said so
    for sim in (day.patients, day.healthy):
        sim.reset()
    pick, end = random.Random(3), time.monotonic() + 1.0
    while time.monotonic() < end:
        day.client.call("wallet.home", uid=pick.randint(1, USERS), deadline_ms=1000)
    during = {**day.patients.stats()["lines"], **day.healthy.stats()["lines"]}
    assert during["cash"]["calls"] == 0, during["cash"]
    for line in others:
        assert during[line]["calls"] > 0, (line, "waits, too", during[line])
    day.patients.fault("cash", "none")
    harness.until(lambda: day.patients.stats()["lines"]["cash"]["calls"] > 0, 10,
                  "it is asked again")
    assert day.patients.stats()["lines"]["cash"]["early"] == 0
    for sim in (day.patients, day.healthy):
        sim.burst(0)


def ask_forever(day, method, line, ending, unanswered):
    """Forty questions about random users under way at any time."""
    client, pick, waiting = day.wallet.reader(), random.Random(line), 0
    while not ending.is_set():
        while waiting < 40:
            client.send(method, uid=pick.randint(1, FLOOD_USERS), line=line, deadline_ms=300)
            waiting += 1
        reply = client.receive(2.0)
        if reply is None:
            unanswered.append((method, line, waiting))
            break
        waiting -= 1
        if reply[1] is not None:
            time.sleep(0.01)
    client.close()


def flood(day):
    """Far more than the lines may be asked for."""
    begun = datetime.datetime.now(datetime.timezone.utc).date()
    day.flooded.reset()
    day.flooded.fault("tide", "error", rate=0.2)
    day.flooded.burst(10**9, rate=2000)
    ending, unanswered = threading.Event(), []
    threads = [threading.Thread(target=ask_forever, args=(day, method, line, ending, unanswered))
               for line in ("surf", "foam", "mist")
               for method in ("wallet.balance", "wallet.details")]
    for thread in threads:
        thread.start()
    time.sleep(FLOOD_S)
    ending.set()
    for thread in threads:
        thread.join(10)
    assert not unanswered, unanswered
    stats = day.check_limits(day.flooded, FLOODED, "flood")
    day.flooded.burst(0)
    for line in FLOODED:
        calls, rate = stats[line]["calls"], limits_of(line)["rate"]
        for what in ("assets", "details") if line in LIVE else ("assets",):
            assert stats[line][what] > 0, (line, "was not asked for", what, stats[line])
        if line not in LIMITED:
            assert calls >= 0.3 * rate * FLOOD_S, (line, "was no flood", stats[line])
        elif datetime.datetime.now(datetime.timezone.utc).date() == begun:
            assert QUOTA // 2 <= calls <= QUOTA, (line, stats[line])
    print("flood: calls", {line: stats[line]["calls"] for line in FLOODED})


def check_retries(day, seconds=3.0):
    """Half of the calls fail; each user has changed once, so who is asked for again is a retry."""
    day.flooded.fault("tide", "error", rate=0.5)
    day.flooded.reset()
    uids = list(range(1, FLOOD_USERS + 1))
    for at in range(0, FLOOD_USERS, 500):
        day.admin.call("notify.changed", line="tide",
                       changes=[{"uid": uid} for uid in uids[at:at + 500]])
    time.sleep(seconds)  # the time itself is what is given to it
    found = day.flooded.stats()["lines"]["tide"]
    first, again = found["users"] - found["repeated"], found["repeated"]
    assert first >= FLOOD_USERS // 2, found
    assert again <= retries_allowed(first, seconds), (first, again)
    print("retries: %d users asked for, and %d of them again" % (first, again))
    day.flooded.fault("tide", "none")


def main():
    faults = sys.argv[1:] or list(FAULTS)
    begun = time.monotonic()
    day = Day()
    matrix = Matrix(day)
    for fault in faults:
        matrix.round(fault)
    figures = matrix.end()
    harness.until(day.settled, 20, "everything shows the truth when all are well", step=0.2)
    check_pause(day)
    check_retries(day)
    flood(day)
    day.wallet.stop()
    for sim in day.sims:
        sim.stop()
    for row in matrix.rounds:
        print("%-14s %5d homes, p99 %6.1f ms; healthy p99 %6.1f ms" % row)
    harness.passed("worst_day", faults=len(faults), **figures,
                   seconds=round(time.monotonic() - begun, 1))


if __name__ == "__main__":
    sys.exit(main())
