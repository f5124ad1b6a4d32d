"""walletctl explain: a user's history is told exactly as it was, in its order: notified, older version,
quarantined, line down, retries, dead letters, redriven, consent given and withdrawn, another
configuration. It survives a kill -9 but for what was not written yet, keeps to its bounds, begins
anew when its file is damaged, and never holds an amount."""
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time

import harness

UID = 4242
AMOUNT = 0x5EC4E7 << 24


class Line(http.server.ThreadingHTTPServer):
    """Answers what it is told to, for everybody."""
    daemon_threads = True

    def __init__(self):
        self.version, self.unit, self.broken, self.more = 1, "CNY", False, 0
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        line = self.server
        uids = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["uids"]
        body = {"assets": [{"uid": uid, "amount": str(AMOUNT + line.more), "version": str(line.version),
                            "unit": line.unit} for uid in uids]}
        text = json.dumps(body).encode()
        self.send_response(500 if line.broken else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def documents(line):
    common = {"kind": "cash", "unit": "CNY", "scale": 2, "url": line.url, "attempts_max": 2,
              "retry_base_ms": 20, "retry_max_ms": 50, "timeout_ms": 5000}
    return ({"lines": {"cash": common, "card": {**common, "consent": True}}},
            {"golden": [{"line": "cash"}, None, None, None]})


def explain(wallet, uid=UID, **args):
    client = wallet.writer()
    try:
        return client.call("admin.explain", uid=uid, **args)
    finally:
        client.close()


def whats(reply):
    return [event["what"] for event in reply["events"]]


class Story:
    """What has to be told so far of one line."""

    def __init__(self, wallet, line):
        self.wallet, self.line, self.told = wallet, line, []

    def goes_on(self, *what):
        """Waits until it is told; in exactly this order, and nothing else."""
        self.told += what

        def there():
            nonlocal seen
            seen = [e["what"] for e in explain(self.wallet, line=self.line)["events"] if e["line"]]
            return len(seen) >= len(self.told)
        seen = []
        harness.until(there, 30, f"{self.line}: {self.told}")
        assert seen == self.told, (seen, self.told)


def redrive(writer):
    """The letter is told when it is decided, and stands in the queue a moment later."""
    harness.until(lambda: writer.call("admin.dlq.redrive", line="cash") == {"redriven": 1}, 20,
                  "there is a letter")


def step_cash(wallet, line, story):
    """A change, another one, an older answer, a refused one, a line that is down; each redriven."""
    writer = wallet.writer()
    line.version = 12
    writer.call("notify.changed", line="cash", changes=[{"uid": UID, "version": 12}])
    story.goes_on("notified", "stored")
    line.version, line.more = 13, 1
    writer.call("notify.changed", line="cash", changes=[{"uid": UID, "version": 13}])
    story.goes_on("notified", "stored")
    line.version = 5
    writer.call("notify.changed", line="cash", changes=[{"uid": UID}])
    story.goes_on("notified", "older")
    line.version, line.unit = 14, "USD"
    writer.call("notify.changed", line="cash", changes=[{"uid": UID}])
    story.goes_on("notified", "quarantined", "retry", "quarantined", "dead_letter")
    line.unit = "CNY"
    redrive(writer)
    story.goes_on("redrive", "stored")
    line.broken = True
    writer.call("notify.changed", line="cash", changes=[{"uid": UID, "version": 14}])
    story.goes_on("notified", "pull_failed", "retry", "pull_failed", "dead_letter")
    line.broken = False
    redrive(writer)
    story.goes_on("redrive", "confirmed")
    assert writer.call("notify.assets", line="cash", assets=[
        {"uid": UID, "kind": "cash", "amount": AMOUNT + 2, "unit": "CNY", "scale": 2,
         "version": 15}]) == {"accepted": 1}
    story.goes_on("payload", "stored")
    writer.close()


def step_card(wallet, line, story):
    reader = wallet.reader()
    harness.again(lambda: reader.call("wallet.consent", uid=UID, line="card", granted=True))
    story.goes_on("consent_given", "stored")
    assert [r["consent"] for r in explain(wallet, line="card")["now"]].count(True) == 1
    harness.again(lambda: reader.call("wallet.consent", uid=UID, line="card", granted=False))
    story.goes_on("consent_withdrawn")
    writer = wallet.writer()
    line.version = 20
    writer.call("notify.changed", line="card", changes=[{"uid": UID}])
    # without a consent the line is not even asked
    story.goes_on("notified", "no_consent")
    writer.close()
    reader.close()


def check_cash(wallet, since):
    reply = explain(wallet, line="cash")
    events = [e for e in reply["events"] if e["line"]]
    assert events == sorted(events, key=lambda e: e["at"])
    assert all(e["line"] == "cash" and since <= e["at"] <= time.time() * 1000 + 1 for e in events)
    stored = [(e["version"], e["before"], e["changed"]) for e in events if e["what"] == "stored"]
    assert stored == [(12, None, None), (13, 12, True), (14, 13, False), (15, 14, True)], stored
    older = next(e for e in events if e["what"] == "older")
    assert (older["version"], older["before"]) == (5, 13), older
    assert older["text"] == "refused version 5: version 13 stands"
    first = next(e for e in events if e["what"] == "stored")
    assert first["notified_at"] <= first["pulled_at"] <= first["at"], first
    assert first["text"].startswith("stored version 12, pulled "), first
    assert first["text"].endswith(" after the notification"), first
    down = [e for e in events if e["what"] == "pull_failed"]
    assert [e["attempt"] for e in down] == [1, 2] and "500" in down[0]["reason"], down
    refused = [e for e in events if e["what"] == "quarantined"]
    assert [e["outcome"] for e in refused] == ["refused"] * 2 and "unit" in refused[0]["text"], refused
    dead = [e for e in events if e["what"] == "dead_letter"]
    assert [e["attempt"] for e in dead] == [2, 2], dead
    now = reply["now"]
    assert [(r["line"], r["version"], r["state"]) for r in now] == [("cash", 15, "available")], now
    assert reply["config"]["variant"] == "base" and not reply["partial"], reply
    assert [e["text"] for e in events][-1] == (
        "stored version 15 (was 14, another value), as it was sent"), events[-1]
    assert reply["dropped"] == 0 and reply["damaged"] == 0 and reply["problem"] is None, reply


def check_config(wallet, line):
    """Another configuration is an event of everybody, also of who was never heard of."""
    before = [e for e in explain(wallet, uid=7)["events"]]
    assert [e["what"] for e in before] == ["config"], before
    assert explain(wallet, uid=7)["now"] == []
    wallet.put("presentation", {"golden": [None, {"line": "cash"}, None, None]})
    os.kill(wallet.process.pid, signal.SIGHUP)
    harness.until(lambda: len(explain(wallet, uid=7)["events"]) == 2, 20, "the change is told")
    last = explain(wallet)["events"][-1]
    assert last["what"] == "config" and "1.2" in last["text"], last
    harness.until(lambda: explain(wallet)["config"]["version"] == "1.2", 20, "and what is shown")


def ctl(wallet, *words):
    done = subprocess.run([wallet.bin / "walletctl", "-e", wallet.read, "-w", wallet.write,
                           "--timeout", "20000", *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def check_ctl(wallet):
    code, out, err = ctl(wallet, "explain", str(UID))
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == f"user {UID}" and "available" in out and "\033" not in out, out
    order = ["stored version 12", "(was 12, another value)", "refused version 5", "quarantined",
             "dead letter after 2 attempts", "let the dead letter be tried again", "attempt 1 failed",
             "the line sent version 15", "consented", "withdrew", "configuration 1.2 from"]
    at = [next(i for i, text in enumerate(lines) if words in text) for words in order]
    assert at == sorted(at), (at, out)
    code, out, err = ctl(wallet, "explain", str(UID), "--line", "cash", "--limit", "3", "--json")
    reply = json.loads(out)
    assert code == 0 and len(reply["events"]) == 3 and int(reply["left_out"]) > 10, out
    code, out, _ = ctl(wallet, "explain", str(UID), "--line", "cash", "--limit", "3")
    assert "older events are not shown" in out, out
    assert ctl(wallet, "explain", "nobody")[0] == 2
    assert ctl(wallet, "explain", str(UID), "--limit", "1001")[0] == 1
    assert ctl(wallet, "explain", str(UID), "--line", "No Line")[0] == 1


def in_file(wallet):
    """Events that stand in the file, as another program sees it."""
    db = sqlite3.connect(f"file:{wallet.settings['server.data_dir']}/trail.db?mode=ro", uri=True,
                         timeout=20)
    try:
        return db.execute("SELECT coalesce(sum(events), 0) FROM block").fetchone()[0]
    finally:
        db.close()


def check_file(wallet):
    """Nothing of an amount, and nobody else may read it."""
    folder = wallet.settings["server.data_dir"]
    paths = [p for p in folder.iterdir() if p.name.startswith("trail.db")]
    assert len(paths) >= 2, paths
    for path in paths:
        assert path.stat().st_mode & 0o777 == 0o600, path
        data = path.read_bytes()
        for amount in (AMOUNT, AMOUNT + 1, AMOUNT + 2):
            for order in ("big", "little"):
                assert amount.to_bytes(8, order).strip(b"\0") not in data, path
            assert str(amount).encode() not in data, path


def check_kill(wallet):
    """What is in the file survives; what came is there within moments."""
    told = len(explain(wallet, limit=1000)["events"])
    before = in_file(wallet)
    writer = wallet.writer()
    for version in range(100, 120):
        writer.call("notify.changed", line="cash", changes=[{"uid": UID, "version": version}])
    writer.close()
    harness.until(lambda: in_file(wallet) >= before + 20, 20, "the events are in the file")
    wallet.kill()
    wallet.start()
    reply = explain(wallet, limit=1000)
    versions = [e["version"] for e in reply["events"] if e["what"] == "notified" and e["version"]]
    assert versions[-20:] == list(range(100, 120)), versions
    assert len(reply["events"]) >= told + 20, (told, len(reply["events"]))


def check_damage(wallet):
    folder = wallet.settings["server.data_dir"]
    for how in ("garbage", "cut"):
        wallet.stop()
        path = folder / "trail.db"
        size = path.stat().st_size
        with open(path, "r+b") as file:
            if how == "garbage":
                file.write(b"no database" * 100)
            else:
                file.truncate(size // 2 + 1000)
        wallet.start()
        assert (folder / "trail.db.damaged").exists() == (how == "garbage") or how == "cut"
        writer = wallet.writer()
        writer.call("notify.changed", line="cash", changes=[{"uid": UID, "version": 15}])
        writer.close()
        harness.until(lambda: "notified" in whats(explain(wallet)), 30, f"{how}: a trail again")
    assert "trail_damaged" in wallet.log.read_text()


def check_bounds(line):
    """The newest are kept, about as many as allowed; the answer says since when."""
    wallet = harness.Wallet(*documents(line), trail__events_max=1000).start()
    writer = wallet.writer()
    line.version = 1
    writer.call("notify.changed", line="cash", changes=[{"uid": 1}])
    harness.until(lambda: "stored" in whats(explain(wallet, uid=1)), 30, "the first one")
    since = explain(wallet, uid=1)["kept_since"]
    for first in range(2, 4002, 500):
        writer.call("notify.changed", line="cash", changes=[{"uid": u} for u in range(first, first + 500)])
    wallet.wait_quiet()
    harness.until(lambda: 0 < in_file(wallet) <= 1000, 30, "old events are deleted")
    reply = explain(wallet, uid=1)
    assert "stored" not in whats(reply) and reply["kept_since"] > since, reply
    writer.close()
    wallet.stop()


def check_disabled(line):
    wallet = harness.Wallet(*documents(line), trail__enabled="no").start()
    writer = wallet.writer()
    writer.call("notify.changed", line="cash", changes=[{"uid": UID}])
    wallet.wait_quiet()
    error = writer.error("admin.explain", uid=UID)
    assert error.code == "not_found" and "trail.enabled" in error.message, error
    assert not (wallet.settings["server.data_dir"] / "trail.db").exists()
    writer.close()
    wallet.stop()


def main():
    line = Line()
    since = int(time.time() * 1000)
    wallet = harness.Wallet(*documents(line)).start()
    step_cash(wallet, line, Story(wallet, "cash"))
    check_cash(wallet, since)
    step_card(wallet, line, Story(wallet, "card"))
    check_config(wallet, line)
    check_ctl(wallet)
    check_file(wallet)
    check_kill(wallet)
    check_damage(wallet)
    wallet.stop()
    check_bounds(line)
    check_disabled(line)
    print("ok")


main()
