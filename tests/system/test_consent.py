"""A line that is asked only with the user's consent. Without it nothing is asked, kept or shown;
granted, the amount appears; withdrawn while clients read the user's wallet in every way, no reply that
is sent after the acknowledgement carries anything of it, and nothing of it is found in the databases,
Redis, dead letters or logs. Granted again it comes back with the same version; an expiry hides it. In
one process with files, and with a writer and two readers over Redis and MariaDB, one of which keeps its
copies in memory."""
import http.server
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time

import harness
import stores

VERSION = 7
AMOUNT = 0x5EC4E7 << 24  # + uid: no other number looks like it
TITLE = "hush-"          # + uid
READERS = 4
REVOKED = int(os.environ.get("WALLET_TEST_USERS", 30))
LATE_S = 5  # a step that does not wait for a clock; sanitizers and busy machines included


class Line(http.server.ThreadingHTTPServer):
    """Everybody owns something; who was asked for is remembered."""
    daemon_threads = True

    def __init__(self):
        self.asked, self.broken = set(), False
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(500 if self.server.broken else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        uids = [int(u) for u in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["uids"]]
        self.server.asked.update(uids)
        self.answer({"assets": [{"uid": str(uid), "amount": str(AMOUNT + uid), "version": str(VERSION),
                                 "title": f"{TITLE}{uid}"} for uid in uids]})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        uid = int(dict(pair.split("=", 1) for pair in query.split("&"))["uid"])
        self.server.asked.add(uid)
        amount = str(AMOUNT + uid)
        if path == "/details":
            self.answer({"items": [{"id": "1", "time": 1760000000000, "title": f"{TITLE}{uid}",
                                    "amount": amount, "unit": "CNY", "scale": 2}], "next": None})
        else:
            self.answer({"in": amount, "out": "0", "count": 1})


def carries(value, uid):
    """Is there anything of the line in a reply, or in what a store holds?"""
    if isinstance(value, dict):
        return any(carries(v, uid) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(carries(v, uid) for v in value)
    if isinstance(value, bytes):  # packed numbers have eight bytes, the largest first
        if (AMOUNT + uid).to_bytes(8, "big") in value:
            return True
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return str(AMOUNT + uid) in value or f"{TITLE}{uid}" in value
    return value == AMOUNT + uid


def config(line):
    return {
        "cash": {"kind": "cash", "unit": "CNY", "scale": 2, "url": line.url, "consent": True,
                 "details": True, "summary": True, "attempts_max": 1, "timeout_ms": 1000},
        "coin": {"kind": "coin", "unit": "bean", "url": "http://127.0.0.1:1", "timeout_ms": 100},
    }


SEVERAL = {f"{actor}.instances": 2 for actor in ("presence", "query", "details")}
READS = [("wallet.home", {}), ("wallet.assets", {}), ("wallet.assets", {"lines": ["cash"]}),
         ("wallet.golden", {}), ("wallet.balance", {"line": "cash"}), ("wallet.details", {}),
         ("wallet.details", {"line": "cash"}), ("wallet.summary", {"line": "cash"})]


class Load:
    """Clients that read the users' wallets in every way, one request after the other."""

    def __init__(self, endpoints, uids):
        self.uids, self.stopping = uids, False
        self.seen = []   # (sent, received, uid, method) of replies that carried something
        self.errors = {}
        self.reads = 0
        self.threads = [threading.Thread(target=self.run, args=(endpoints[i % len(endpoints)], i),
                                         daemon=True) for i in range(READERS * len(endpoints))]
        for thread in self.threads:
            thread.start()

    def run(self, endpoint, number):
        client = harness.Client(endpoint)
        turn = number * 7
        while not self.stopping:
            uid = self.uids[turn % len(self.uids)]
            method, args = READS[turn // len(self.uids) % len(READS)]
            turn += 1
            sent = time.monotonic()
            try:
                reply = client.call(method, uid=uid, deadline_ms=500, **args)
            except harness.Error as error:
                key = method, error.code
                self.errors[key] = self.errors.get(key, 0) + 1
                continue
            received = time.monotonic()
            self.reads += 1
            if carries(reply, uid):
                self.seen.append((sent, received, uid, method))
        client.close()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


def consent(client, uid, granted, **more):
    """As a client does: asks again when that is what the error says."""
    return harness.again(lambda: client.call("wallet.consent", uid=uid, line="cash", granted=granted,
                                             **more))


def shown(client, uid):
    """The cash asset of a user, as it is shown."""
    found = [a for a in harness.again(lambda: client.call("wallet.assets", uid=uid))["assets"]
             if a["line"] == "cash"]
    return found[0] if found else None


def has_amount(client, uid):
    asset = shown(client, uid)
    return asset is not None and asset["amount"] == AMOUNT + uid


class World:
    """The line, one or more walletd processes, and how to look into their stores."""

    def __init__(self, kind):
        self.kind = kind
        self.line = Line()
        self.wallets = []
        self.backends = None

    def wallet(self, **more):
        wallet = harness.Wallet({"lines": config(self.line)}, {
            "golden": [{"line": "cash"}, None, None, None],
            "sections": [{"kind": "cash", "lines": ["cash"]}, {"kind": "coin", "lines": ["coin"]}],
        }, kind=self.kind, **more)
        self.wallets.append(wallet)
        return wallet

    def found(self, *uids):
        """What a look into all stores finds of these users: (where, what)."""
        return [(where, what) for where, what in self.contents()
                if any(carries(what, uid) for uid in uids)]

    def stop(self):
        for wallet in reversed(self.wallets):
            wallet.stop()
        if self.backends is not None:
            self.backends.kill()


class Files(World):
    """One process, everything in files and memory."""

    def __init__(self):
        super().__init__("sanitized")
        second = f"tcp://127.0.0.1:{harness.free_port()}"
        wallet = self.wallet(**SEVERAL, **{"cache.instances": 2})
        wallet.settings["frontend.endpoint"] = f"{wallet.read},{second}"
        wallet.start()
        self.read, self.write = [wallet.read, second], wallet.write

    def contents(self):
        data = pathlib.Path(self.wallets[0].settings["server.data_dir"])
        for database in data.glob("*.db"):
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as db:
                db.text_factory = bytes
                for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"
                                           ).fetchall():
                    for row in db.execute(f"SELECT * FROM \"{table.decode()}\"").fetchall():
                        yield f"{database.name} {table.decode()}", row

    def found_raw(self, uid):
        """And into the bytes of all files: what was deleted, too."""
        data = pathlib.Path(self.wallets[0].settings["server.data_dir"])
        return [path.name for path in data.rglob("*")
                if path.is_file() and carries(path.read_bytes(), uid)]


class Stores(World):
    """A writer, a reader with copies in Redis and one with copies in memory. Redis of the cache is
    not that of the queue."""

    def __init__(self):
        super().__init__("release")
        self.backends = harness.Backends().start()
        self.cache = stores.Redis(harness.folder() / "cache").start()
        tier = f"tcp://127.0.0.1:{harness.free_port(2)}"  # one for each presence
        usual = {**self.backends.settings(), **SEVERAL, "cache.redis": self.cache.at,
                 "queue.partitions": 2}
        self.writer = self.wallet(**{**usual, "server.role": "writer", "tier.endpoint": tier}).start()
        reader = {**usual, "server.role": "reader", "tier.writers": tier}
        self.wallet(**reader).start()
        self.wallet(**{**reader, "cache.store": "memory"}).start()
        self.read = [wallet.read for wallet in self.wallets[1:]]
        self.write = self.writer.write

    def redis_contents(self, server):
        def ask(*words):
            done = subprocess.run(["redis-cli", "-h", server.host, "-p", str(server.port),
                                   *[str(w) for w in words]], capture_output=True, timeout=20)
            return done.stdout
        for key in ask("--scan").split(b"\n"):
            name = key.decode()
            words = {b"hash": ("HGETALL", name), b"stream": ("XRANGE", name, "-", "+"),
                     b"list": ("LRANGE", name, 0, -1), b"string": ("GET", name),
                     b"set": ("SMEMBERS", name), b"zset": ("ZRANGE", name, 0, -1)}
            kind = ask("TYPE", name).strip() if name else b"none"
            if kind != b"none":  # it has just expired
                yield f"{name} in Redis", ask(*words[kind])

    def contents(self):
        for server in (self.backends.redis, self.cache):
            yield from self.redis_contents(server)
        for i, shard in enumerate(self.backends.shards):
            for table in shard.sql(f"SHOW TABLES IN wallet_{i}").split():
                done = subprocess.run(
                    ["mariadb", "--no-defaults", "-uroot", f"-S{shard.folder / 'socket'}", "-N", "-B",
                     "-e", f"SELECT * FROM wallet_{i}.{table}"], capture_output=True, timeout=20)
                assert done.returncode == 0, done.stderr
                for row in done.stdout.splitlines():
                    yield f"{table} of shard {i}", row

    def found_raw(self, uid):
        return []


def refusals(world, client):
    assert client.error("wallet.consent", uid=1, line="none", granted=True).code == "not_found"
    past = int(time.time() * 1000) - 1000
    for bad in ({"line": "coin", "granted": True}, {"line": "cash"}, {"line": "cash", "granted": 1},
                {"granted": True}, {"line": "cash", "granted": True, "expires_at": past},
                {"line": "cash", "granted": False, "expires_at": past + 9999}):
        assert client.error("wallet.consent", uid=1, **bad).code == "bad_request", bad
    assert client.error("wallet.consent", uid=0, line="cash", granted=True).code == "bad_request"


def nothing_without(world, clients, writer):
    """Nobody has given a consent: the line hears of nobody, whatever is said and asked."""
    uids = list(range(1, 11))
    harness.again(lambda: writer.call("notify.changed", line="cash",
                                      changes=[{"uid": uid} for uid in uids]))
    harness.again(lambda: writer.call("notify.assets", line="cash", assets=[
        {"uid": 11, "amount": AMOUNT + 11, "version": VERSION}]))
    for uid in uids:
        # not of "coin", which answers nobody: behind an open breaker its entries stay in the queue
        harness.again(lambda: writer.call("wallet.refresh", uid=uid, lines=["cash"]))
        for client in clients:
            for method, args in READS[:4]:
                assert not carries(harness.again(lambda: client.call(method, uid=uid, **args)), uid)
    harness.until(lambda: writer_queue(writer)["entries"] == 0, LATE_S * 4, "the changes are done")
    assert not world.line.asked, world.line.asked
    assert not world.found(11), world.found(11)


def writer_queue(writer):
    return harness.again(lambda: writer.call("admin.queue"))


def granted_appears(world, clients, uids):
    for uid in uids:
        before = int(time.time() * 1000)
        reply = consent(clients[uid % len(clients)], uid, True)
        assert reply["granted"] is True and reply["expires_at"] == 0, reply
        assert before - 2000 <= reply["granted_at"] <= int(time.time() * 1000) + 2000, reply
    for uid in uids:
        for client in clients:
            harness.until(lambda: has_amount(client, uid), LATE_S, f"the amount of {uid} is shown")
            assert shown(client, uid)["version"] == VERSION


def revoked_under_load(world, clients, uids):
    """Returns how long each acknowledgement took."""
    load = Load(world.read, uids)
    methods = {method for method, _ in READS}
    harness.until(lambda: {(seen[2], seen[3]) for seen in list(load.seen)} ==
                  {(uid, method) for uid in uids for method in methods}, 60,
                  "everything of every user is read")
    acknowledged, took = {}, []
    for uid in uids:
        client = clients[uid % len(clients)]
        begun = time.monotonic()
        reply = consent(client, uid, False)
        acknowledged[uid] = time.monotonic()
        took.append(acknowledged[uid] - begun)
        assert reply["granted"] is False and reply["expires_at"] == 0, reply
        for other in clients:  # at once, with every reader
            asset = shown(other, uid)
            assert asset is None or (asset["amount"] is None and
                                     asset["freshness"] == "unauthorized"), asset
    time.sleep(1)
    load.stop()
    after = [seen for seen in load.seen if seen[0] > acknowledged[seen[2]]]
    assert not after, f"{len(after)} replies to later requests carry it: {after[:5]}"
    # a reply that came before the acknowledgement may be looked at late by a thread of this test
    late = max((seen[1] - acknowledged[seen[2]] for seen in load.seen), default=0)
    assert late < 0.25, f"a reply that carries it came {late:.3f} s after the acknowledgement"
    assert load.reads > 20 * len(uids), load.reads
    return took, load


def nothing_left(world, uids):
    found = world.found(*uids)
    assert not found, found[:3]
    harness.until(lambda: not any(world.found_raw(uid) for uid in uids), LATE_S,
                  f"the files forget: {world.found_raw(uids[0])}")
    for wallet in world.wallets:
        text = wallet.log.read_text(errors="replace")
        assert not any(carries(text, uid) for uid in uids), "in the log"


def comes_back(world, clients, uid):
    consent(clients[0], uid, True)
    for client in clients:
        harness.until(lambda: has_amount(client, uid), LATE_S, "it is there again")
        assert shown(client, uid)["version"] == VERSION
    assert world.found(uid), "this test can find something"
    again = consent(clients[0], uid, True)
    assert again["granted"] is True
    assert has_amount(clients[0], uid), "asked twice it stays"


def expires(world, clients, uid):
    until = int(time.time() * 1000) + 2500
    reply = consent(clients[0], uid, True, expires_at=until)
    assert reply["expires_at"] == until, reply
    harness.until(lambda: has_amount(clients[0], uid), 2, "it is shown until it expires")
    time.sleep(max(0, until / 1000 - time.time()) + 0.05)
    for client in clients:
        asset = shown(client, uid)
        assert asset["freshness"] == "unauthorized" and asset["amount"] is None, asset
        for method, args in READS[:4]:
            assert not carries(harness.again(lambda: client.call(method, uid=uid, **args)), uid)
    consent(clients[0], uid, False)
    nothing_left(world, [uid])


def letters_go(world, clients, writer, uid):
    """A dead letter, and a pull that waits: neither is left."""
    consent(clients[0], uid, True)
    harness.until(lambda: has_amount(clients[0], uid), LATE_S, "the amount is shown")
    world.line.broken = True
    harness.again(lambda: writer.call("notify.changed", line="cash", changes=[{"uid": uid}]))

    def letters():
        return [letter for letter in harness.again(
            lambda: writer.call("admin.dlq.list", line="cash"))["letters"] if letter["uid"] == uid]
    harness.until(letters, LATE_S * 4, "the change became a dead letter")
    consent(clients[0], uid, False)
    assert not letters(), letters()
    world.line.broken = False


def redis_stopped(world, clients, uid):
    """What cannot be deleted everywhere is not acknowledged."""
    consent(clients[0], uid, True)
    for client in clients:
        harness.until(lambda: has_amount(client, uid), LATE_S, "the amount is shown")
    world.cache.freeze()
    try:
        error = clients[1].error("wallet.consent", uid=uid, line="cash", granted=False, timeout=10,
                                 deadline_ms=1500)
        assert error.retryable and error.code in ("unavailable", "deadline"), error
    finally:
        world.cache.thaw()
    harness.until(lambda: not clients[1].call("wallet.consent", uid=uid, line="cash",
                                              granted=False)["granted"], 20, "acknowledged at last")
    nothing_left(world, [uid])


def by_hand(world, uid):
    """walletctl consent"""
    def run(*words):
        return subprocess.run([str(harness.programs(world.kind) / "walletctl"), "-e", world.read[0],
                               "--timeout", "8000", *words], capture_output=True, text=True)
    done = run("consent", str(uid), "cash", "grant", "--until", "90d")
    assert done.returncode == 0 and done.stdout.startswith("granted 2"), (done.stdout, done.stderr)
    assert ", until 2" in done.stdout, done.stdout
    done = run("--json", "consent", str(uid), "cash", "grant", "--until", "2120-02-03T04:05:06Z")
    assert json.loads(done.stdout)["expires_at"] == 4736376306000, done.stdout
    done = run("--json", "consent", str(uid), "cash", "revoke")
    assert json.loads(done.stdout)["granted"] is False, done.stdout
    assert run("consent", str(uid), "coin", "grant").returncode == 1
    assert run("consent", str(uid), "none", "grant").returncode == 3
    for wrong in (["x", "cash", "grant"], [str(uid), "cash", "maybe"], [str(uid), "cash"],
                  [str(uid), "cash", "grant", "--until", "soon"],
                  [str(uid), "cash", "revoke", "--until", "1d"]):
        assert run("consent", *wrong).returncode == 2, wrong


def check(world):
    clients = [harness.Client(endpoint) for endpoint in world.read]
    writer = harness.Client(world.write)
    refusals(world, clients[0])
    nothing_without(world, clients, writer)
    uids = list(range(1001, 1001 + REVOKED))
    granted_appears(world, clients, uids)
    took, load = revoked_under_load(world, clients, uids)
    nothing_left(world, uids)
    comes_back(world, clients, uids[0])
    expires(world, clients, 2001)
    letters_go(world, clients, writer, 2002)
    if isinstance(world, Stores):
        redis_stopped(world, clients, 2003)
    by_hand(world, 2004)
    nothing_left(world, [2002, 2004, *uids[1:]])
    world.stop()
    took.sort()
    print(f"{type(world).__name__}: {len(took)} withdrawals under {load.reads} reads: median "
          f"{took[len(took) // 2] * 1000:.0f} ms, slowest {took[-1] * 1000:.0f} ms; "
          f"errors {load.errors}")


def main():
    for kind in (Files, Stores):
        if len(sys.argv) < 2 or kind.__name__ == sys.argv[1]:
            check(kind())


main()
