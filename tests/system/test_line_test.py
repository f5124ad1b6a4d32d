"""walletctl lines test, without a walletd: what it says about lines that are well, and about each way
in which a line, a sample or the person at the keyboard can be wrong."""
import hashlib
import hmac
import http.server
import json
import subprocess
import sys
import threading
import time

import harness

sys.path.insert(0, str(harness.ROOT / "examples" / "python"))
import line as example  # noqa: E402

PROGRAM = str(harness.programs() / "walletctl")
FOLDER = harness.folder()
CONFIG = FOLDER / "config"
KEYS = FOLDER / "keys"
KEY = b"correct horse battery staple"


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers whatever its server was told to."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.silent.is_set():
            self.server.over.wait(60)
            self.close_connection = True
            return
        status, headers, body = self.server.script
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.silent, server.over, server.script = threading.Event(), threading.Event(), None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def url(server):
    return f"http://127.0.0.1:{server.server_port}"


def run(*words, code=0):
    done = subprocess.run([PROGRAM, *map(str, words)], text=True, capture_output=True, timeout=60)
    assert done.returncode == code, (words, done)
    return done


def check(line, *words, code=0):
    return run("lines", "test", line, "--config", CONFIG, *words, code=code)


def sample(text):
    path = FOLDER / "sample.json"
    path.write_text(text)
    return path


def write_config(lines, version=1):
    CONFIG.mkdir(exist_ok=True)
    (CONFIG / f"integration-{version}.json").write_text(
        json.dumps({"version": version, "lines": lines}, indent=1))
    (CONFIG / "presentation-1.json").write_text('{"version": 1}')


def check_example():
    """What the example does that walletctl does not see."""
    guard = example.Signature(KEY)

    def headers(nonce, when, body=b"{}"):
        signed = f"POST\n/assets\n\n{when}\n{nonce}\n".encode() + body
        return {"X-Wallet-Time": str(when), "X-Wallet-Nonce": nonce,
                "X-Wallet-Signature": hmac.new(KEY, signed, hashlib.sha256).hexdigest()}

    now = int(time.time() * 1000)
    assert guard.good("POST", "/assets", headers("a", now), b"{}")
    assert not guard.good("POST", "/assets", headers("a", now), b"{}"), "the same nonce again"
    assert not guard.good("POST", "/assets", headers("b", now - 301000), b"{}"), "too old"
    assert not guard.good("POST", "/assets", headers("c", now), b"{ }"), "another body"
    assert not guard.good("POST", "/assets?x=1", headers("d", now), b"{}"), "another query"
    assert not guard.good("POST", "/assets", {}, b"{}")

    ledger = example.Ledger(str(FOLDER / "pages.db"))
    line = example.Line("points", "bean", ledger)
    for amount in range(1, 6):
        ledger.book("7", amount, "x")
    seen, page = [], line.details("7", limit="2")
    while True:
        seen += [item["amount"] for item in page["items"]]
        ledger.book("7", 100, "meanwhile")
        if page["next"] is None:
            break
        page = line.details("7", cursor=page["next"], limit="2")
    assert seen == ["5", "4", "3", "2", "1"], seen
    assert line.details("7", month="1999-12") == {"items": [], "next": None}
    assert example.month_bounds("2026-12") == (1796083200000, 1798761600000)
    assert line.summary("7")["in"] == "315" and line.summary("8")["count"] == 0
    assert ledger.untold() == {"7": 8}
    ledger.told({"7": 7})
    assert ledger.untold() == {"7": 8}, "what came in while walletd was told"
    ledger.told({"7": 8})
    assert ledger.untold() == {}


def check_good(ledger):
    ledger.book("42", 1250, "Welcome")
    ledger.book("42", -200, "余额\x1b[31m")
    kept = FOLDER / "kept.json"
    done = check("points", "--uid", 42, "--uid", 43, "--secrets", KEYS, "--record", kept)
    for text in ("1050 bean", "user 43: no record", "1 good, 0 refused", "2 items", "1250 bean",
                 "Welcome", "configuration 1.1"):
        assert text in done.stdout, (text, done.stdout)
    assert "\x1b" not in done.stdout
    assert json.loads(kept.read_text())["assets"][0]["amount"] == "1050"
    assert "1050 bean" in check("points", "--sample", kept).stdout
    (CONFIG / "samples").mkdir()
    (CONFIG / "samples" / "points.json").write_text(kept.read_text())
    assert "1050 bean" in check("points").stdout, "the sample beside the configuration"
    found = json.loads(check("points", "--uid", 42, "--secrets", KEYS, "--json").stdout)
    assert found["passed"] is True and found["config"] == "1.1", found
    fields = {f["field"]: f for f in found["answers"][0]["records"][0]["fields"]}
    assert fields["amount"] == {"field": "amount", "from": "amount", "raw": '"1050"',
                                "kept": "1050 bean"}, fields
    assert [page["source"] for page in found["pages"]] == ["details of user 42",
                                                           "summary of user 42"]
    assert found["pages"][0]["items"][0]["amount"] == "-200"


def check_no_such_line():
    assert 'did you mean "points"' in check("point", "--uid", 1, code=3).stderr
    assert "never asks it" in check("help", "--uid", 1, code=2).stderr
    for words in (["points"], ["points", "--sample"]):
        run("lines", "test", *words, code=2)
    assert "no user id" in check("points", "--uid", "0", code=2).stderr
    assert "--uid" in check("scripted", code=2).stderr
    run("lines", "test", "points", "--config", FOLDER / "nowhere", "--uid", 1, code=3)
    check("points", "--sample", FOLDER / "nowhere", code=3)


def check_broken_config():
    write_config({"points": {"kind": "coin", "unit": "bean", "url": "http://127.0.0.1:1",
                             "rtae": 5}}, version=2)
    done = check("points", "--uid", 1, code=6)
    assert "integration-2.json:" in done.stderr and 'did you mean "rate"' in done.stderr, done
    (CONFIG / "integration-2.json").unlink()


def check_own_sample():
    """Without a file, users or a sample beside it: the one that the configuration brings along."""
    lines = json.loads((CONFIG / "integration-1.json").read_text())["lines"]
    record = {"uid": "42", "amount": "7", "unit": "bean", "scale": 0, "version": "1"}
    for amount, code, text in (("7", 0, "7 bean"), (7.5, 6, "record 0: amount")):
        record["amount"] = amount
        lines["scripted"]["sample"] = {"assets": [record]}
        (CONFIG / "integration-2.json").write_text(json.dumps({"version": 2, "lines": lines}))
        done = check("scripted", code=code)
        assert text in done.stdout + done.stderr, done
    (CONFIG / "integration-2.json").unlink()


def check_broken_sample():
    done = check("points", "--sample", sample('{"assets": ['), code=6)
    assert "ends too early, line 1" in done.stderr, done
    done = check("points", "--sample", sample('{"rows": []}'), code=6)
    assert 'no list "assets"' in done.stderr, done
    done = check("points", "--sample", sample(
        '{"assets": [{"uid": "1", "amount": 1.5, "version": 0, "ammount": "1"}]}'), code=6)
    for text in ("cannot carry money", "version: must be from 1", 'did you mean "amount"'):
        assert text in done.stdout, (text, done.stdout)
    assert "1 record is refused" in done.stderr
    other = '{"assets": [{"uid": "7", "amount": "4711", "version": 1}]}'
    done = check("points", "--sample", sample(other), "--uid", 1, code=6)
    assert "not asked for" in done.stdout
    assert "4711" not in done.stdout + done.stderr, "somebody else's amount"


def check_line_down(scripted):
    port = harness.free_port()
    write_config({"gone": {"kind": "coin", "unit": "bean", "url": f"http://127.0.0.1:{port}"}},
                 version=2)
    assert "is it running?" in check("gone", "--uid", 1, code=5).stderr
    (CONFIG / "integration-2.json").unlink()
    scripted.silent.set()
    assert "no answer within 300 ms" in check("scripted", "--uid", 1, code=5).stderr
    scripted.silent.clear()
    scripted.script = 503, {"Retry-After": "7"}, b""
    assert "come again later" in check("scripted", "--uid", 1, code=5).stderr


def check_wrong_signature():
    assert "--secrets" in check("points", "--uid", 42, code=2).stderr
    check("points", "--uid", 42, "--secrets", FOLDER, code=3)
    (KEYS / "points").write_bytes(b"another key")
    done = check("points", "--uid", 42, "--secrets", KEYS, code=6)
    assert "HTTP 401; it does not accept our signature" in done.stderr, done
    assert "another key" not in done.stdout + done.stderr
    (KEYS / "points").write_bytes(KEY + b"\n")
    assert 'name the key with "secret"' in check("unsigned", "--uid", 42, code=6).stderr


def check_bad_answers(scripted):
    for body in (b"<html>", b"\xff\xfe{]}", b"", b'{"assets": 5}'):
        scripted.script = 200, {}, body
        kept = FOLDER / "broken"
        done = check("scripted", "--uid", 1, "--record", kept, code=6)
        assert kept.read_bytes() == body, "what it really said, to be mended"
        assert json.loads(check("scripted", "--uid", 1, "--json", code=6).stdout)["passed"] is False
        assert "x " in done.stdout
    scripted.script = 200, {}, b" " * 5000
    assert "longer than 2000 bytes" in check("scripted", "--uid", 1, code=6).stderr
    scripted.script = 404, {}, b"no"
    assert "is the path right?" in check("scripted", "--uid", 1, code=6).stderr
    check("scripted", *[word for uid in range(1, 12) for word in ("--uid", uid)], code=2)


def check_zeromq():
    lines = harness.LineSim(None, {"coin": "kind=coin,unit=bean,scale=0,zmq"}, 50, owners=1)
    lines.start()
    write_config({"coin": {"kind": "coin", "unit": "bean", "url": lines.urls["coin"]}}, version=2)
    uid, amount = next((uid, asset["amount"]) for (_, uid, _), asset in lines.truth().items()
                       if asset["state"] == "available")
    kept = FOLDER / "coin.msgpack"
    done = check("coin", "--uid", uid, "--record", kept)
    assert f"{amount} bean" in done.stdout, done.stdout
    assert f"{amount} bean" in check("coin", "--sample", kept).stdout
    lines.stop()
    check("coin", "--uid", uid, code=5)
    (CONFIG / "integration-2.json").unlink()


def main():
    KEYS.mkdir()
    (KEYS / "points").write_bytes(KEY + b"\n")
    ledger = example.Ledger(str(FOLDER / "points.db"))
    points = serve(example.handler_of(example.Line("points", "bean", ledger),
                                      example.Signature(KEY)))
    scripted = serve(Scripted)
    common = {"kind": "coin", "unit": "bean"}
    write_config({
        "points": {**common, "url": url(points), "secret": "points", "details": True,
                   "summary": True},
        "unsigned": {**common, "url": url(points)},
        "scripted": {**common, "url": url(scripted), "timeout_ms": 300, "batch_max": 10,
                     "response_bytes_max": 2000},
        "help": {"kind": "link", "mode": "link", "title": "Help"},
    })
    check_example()
    check_good(ledger)
    check_no_such_line()
    check_broken_config()
    check_own_sample()
    check_broken_sample()
    check_line_down(scripted)
    check_wrong_signature()
    check_bad_answers(scripted)
    check_zeromq()
    scripted.over.set()
    harness.passed("line_test")


if __name__ == "__main__":
    sys.exit(main())
