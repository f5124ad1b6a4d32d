"""walletctl against a server of a few lines: what it asks, what it prints, how it ends."""
import json
import os
import pty
import subprocess
import threading
import time

import msgpack
import zmq

import harness

NOW = int(time.time() * 1000)


def item(line, kind, amount, **more):
    return {"line": line, "bucket": "", "kind": kind, "amount": amount, "unit": "CNY", "scale": 2,
            "count": 0, "pending": 0, "state": "available", "expires_at": 0, "version": 7,
            "changed_at": NOW, "extra": {}, "as_of": NOW - 5000, "source": "cache",
            "freshness": "fresh", **more}


def slot(position, line="", amount=None, **more):
    return {"position": position, "line": line, "title": line.capitalize(), "link": "", "kind":
            "cash" if line else "", "amount": amount, "unit": "CNY" if line else "", "scale": 2,
            "count": 0, "pending": 0, "freshness": "fresh" if line else "missing",
            "as_of": NOW - 5000, "source": "cache", "version": 7, **more}


HOME = {
    "uid": 2**64 - 1, "has_assets": True,
    "golden": [slot(1, "cash", 1250, pending=300), slot(2, "withdraw", -5, freshness="stale"),
               slot(3, "coupon", 0, unit="", scale=0, count=3), slot(4)],
    "sections": [
        {"kind": "cash", "title": "余额\x1b[31m", "items": [
            item("cash", "cash", 1250, extra={"title": "Main"}),
            item("cash", "cash", 2**53 + 1, bucket="ios", state="frozen")],
         "totals": [{"unit": "CNY", "scale": 2, "amount": 1250, "pending": 0, "count": 0}]},
        {"kind": "coin", "title": "Beans", "items": [
            item("coin", "coin", None, pending=None, state=None, freshness="missing", as_of=None)],
         "totals": []},
        {"kind": "link", "title": "More", "items": [
            item("help", "link", None, unit="", extra={"title": "Help", "link": "app://help"})],
         "totals": []}],
    "degraded": ["withdraw"], "config_version": "1.1",
}
asked = []


def answer(method, args):
    if method in ("wallet.home", "wallet.golden"):
        return None, HOME
    if method == "wallet.assets":
        return None, {"uid": args["uid"], "assets": HOME["sections"][0]["items"]}
    if method == "wallet.balance":
        return None, {"uid": args["uid"], "degraded": [args["line"]], "assets": [
            item("cash", "cash", None, pending=None, freshness="stale", source="last_good",
                 last_good=123456)]}
    if method == "wallet.has_assets":
        return None, {"has": [uid % 2 == 1 for uid in args["uids"]]}
    if method == "notify.changed":
        return None, {"accepted": len(args["changes"])}
    if method == "wallet.refresh":
        return None, {"queued": 4}
    if method == "admin.dlq.show":
        return {"code": "not_found", "message": "no such letter", "retryable": False}, None
    if method == "admin.dlq.redrive":
        return {"code": "conflict", "message": "somebody else did", "retryable": False}, None
    if method == "admin.lines":
        return {"code": "busy", "message": "too much work", "retryable": True,
                "retry_after_ms": 20}, None
    if method == "admin.dlq.list":
        return None, {"letters": [{"id": 3, "uid": 2**63, "line": "cash", "reason": "no answer",
                                   "attempts": 8, "at": NOW - 7200000}], "more": False}
    if method == "admin.queue":
        return None, {"entries": 12, "pending": 3, "oldest_ms": 40,
                      "lines": [{"line": "cash", "pending": 3}]}
    if method == "admin.stats":
        return None, {"actors": [{"actor": "cache", "instance": 1,
                                  "counters": {"cache_hits": 9, "cache_misses": 0}}]}
    if method == "admin.presence.stats":
        return None, {"mode": "exact", "members": 10, "bytes_per_user": 2.5, "ready": True}
    if method == "sys.ping":
        return None, {"pong": True}
    return None, None  # silence


def serve(context, port, silent):
    router = context.socket(zmq.ROUTER)
    router.bind(f"tcp://127.0.0.1:{port}")
    while True:
        try:
            identity, _, body = router.recv_multipart()
        except zmq.ContextTerminated:
            router.close(0)
            return
        _, msgid, method, [args] = msgpack.unpackb(body)
        asked.append((method, args))
        error, result = answer(method, args)
        if method not in silent:
            router.send_multipart([identity, b"", msgpack.packb([1, msgid, error, result])])


port = harness.free_port()
context = zmq.Context()
server = threading.Thread(target=serve, args=(context, port, {"sys.info"}), daemon=True)
server.start()
PROGRAM = str(harness.programs() / "walletctl")
ENV = {**os.environ, "WALLETCTL_ENDPOINT": f"tcp://127.0.0.1:{port}",
       "WALLETCTL_WRITER": f"tcp://127.0.0.1:{port}"}


def run(*words, code=0, **env):
    done = subprocess.run([PROGRAM, *map(str, words)], env={**ENV, **env}, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == code, (words, done)
    return done


def check_balance():
    out = run("balance", 42, "cash").stdout
    assert asked[-1][0] == "wallet.balance", asked[-1]
    assert asked[-1][1]["uid"] == 42 and asked[-1][1]["line"] == "cash", asked[-1]
    assert "was 1234.56 CNY" in out and "stale" in out and "Degraded" in out, out
    [asset] = json.loads(run("--json", "balance", 42, "cash").stdout)["assets"]
    assert asset["amount"] is None and asset["last_good"] == "123456", asset
    run("balance", 42, code=2)
    run("balance", "x", "cash", code=2)


def check_wallets():
    out = run("home", 2**64 - 1).stdout
    assert asked[-1][0] == "wallet.home" and asked[-1][1]["uid"] == 2**64 - 1, asked[-1]
    assert asked[-1][1]["deadline_ms"] == 3000
    for text in ("12.50 CNY", "+3.00 pending", "-0.05 CNY", "3 pieces", "● fresh", "○ stale",
                 "· missing", "90071992547409.93 CNY", "frozen", "5s ago", "app://help",
                 "withdraw", "configuration 1.1", "owns something", "total 12.50 CNY", "余额"):
        assert text in out, (text, out)
    assert "\x1b" not in out, "neither our colours nor a line's control characters"
    golden = out.splitlines()[3:6]
    assert len({max(row.find("●"), row.find("○")) for row in golden}) == 1, "columns are aligned"
    home = json.loads(run("--json", "home", 5).stdout)
    assert home["uid"] == str(2**64 - 1)
    assert home["golden"][0]["amount"] == "1250" and home["golden"][0]["version"] == "7"
    assert home["sections"][0]["items"][1]["amount"] == str(2**53 + 1)
    assert home["golden"][0]["as_of"] == NOW - 5000
    assert "12.50 CNY" in run("golden", 5).stdout
    assert "2 assets" in run("assets", 5, "cash", "coin").stdout
    assert asked[-1][1]["lines"] == ["cash", "coin"]
    assert run("has", 1, 2, 3).stdout == "1\tyes\n2\tno\n3\tyes\n"
    run("refresh", 9, "cash")
    assert asked[-1] == ("wallet.refresh", {"uid": 9, "lines": ["cash"], "deadline_ms": 3000})


def check_changes_and_operators():
    assert "2" in run("notify", "cash", 5, f"6:{2**63 - 1}").stdout
    assert asked[-1][1]["changes"] == [{"uid": 5}, {"uid": 6, "version": 2**63 - 1}]
    out = run("dlq", "list", "--line", "cash", "--limit", 10).stdout
    assert asked[-1][1]["line"] == "cash" and asked[-1][1]["limit"] == 10
    assert str(2**63) in out and "2h ago" in out, out
    assert "12" in run("queue").stdout
    assert json.loads(run("queue", "--json").stdout)["pending"] == 3, "a count is a number"
    assert run("stats").stdout.split() == ["cache.1", "cache_hits", "9"]
    assert "2.5" in run("presence", "stats").stdout
    assert "yes" in run("ping").stdout
    run("dlq", "discard", 5, "--note", "known", "--yes", code=5, WALLETCTL_WRITER="tcp://127.0.0.1:1")


def check_exit_codes():
    assert "did you mean \"home\"" in run("hoem", 5, code=2).stderr
    assert "did you mean \"dlq list\"" in run("dlq", "lsit", code=2).stderr
    assert run("frobnicate", code=2).stdout == ""
    run(code=2)
    run("home", code=2)
    for uid in ("0", "+5", " 5", "5 ", "5x", "0x5", "", str(2**64), "١"):
        assert "user id" in run("home", uid, code=2).stderr, uid
    run("home", "-5", code=2)
    for change in ("5:", ":5", "5:x", "5:6:7", f"5:{2**63}", "0:1"):
        run("notify", "cash", change, code=2)
    run("dlq", "discard", 5, code=2)
    assert "--yes" in run("dlq", "discard", 5, "--note", "known", code=2).stderr
    run("dlq", "redrive", code=2)
    run("--timeout", "0", "ping", code=2)
    run("-e", "nonsense", "ping", code=2)
    refused = run("lines", "--json", code=1)
    assert json.loads(refused.stdout)["error"] == {
        "code": "busy", "message": "too much work", "retryable": True, "retry_after_ms": 20}
    assert "busy: too much work" in refused.stderr and "20 ms" in refused.stderr
    assert run("dlq", "show", 9, code=3).stdout == ""
    run("dlq", "redrive", 9, code=4)
    assert "did not answer" in run("--timeout", 100, "info", code=5).stderr
    assert "nobody listens" in run("--timeout", 100, "ping", code=5,
                                   WALLETCTL_ENDPOINT="tcp://127.0.0.1:1").stderr
    assert "dlq discard" in run("help").stdout
    run("--version")


def on_terminal(**env):
    master, slave = pty.openpty()
    subprocess.run([PROGRAM, "golden", "5"], env={**ENV, "TERM": "xterm", **env}, stdout=slave,
                   check=True, timeout=60)
    os.close(slave)
    out = b""
    while True:
        try:
            out += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    return out


def check_colors():
    assert b"\x1b[32m" in on_terminal()
    assert b"\x1b" not in on_terminal(NO_COLOR="1")
    assert b"\x1b" not in on_terminal(TERM="dumb")


check_wallets()
check_balance()
check_changes_and_operators()
check_exit_codes()
check_colors()
context.term()
harness.passed("walletctl", questions=len(asked))
