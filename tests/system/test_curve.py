"""Who may come in with which key, and what it may do there: every refusal is answered with nothing but
a code, and counted. Keys come and go while walletd serves."""
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import msgpack
import zmq
import zmq.auth

import harness

LINES = {"cash": "kind=cash,unit=CNY,scale=2,http", "coin": "kind=coin,unit=bean,scale=0,http"}
KEYS = {
    "server": [], "app": ["read"], "cash": ["notify:cash"], "coin": ["notify:coin"],
    "lines": ["notify:*"], "operator": ["admin"], "peer": ["peer"],
    "boss": ["read", "notify:*", "admin"],
}
refused = 0


class Keys:
    def __init__(self):
        self.folder = harness.folder()
        self.clients = self.folder / "clients"
        self.clients.mkdir()
        for name, scopes in KEYS.items():
            self.new(name, *scopes)
            if scopes:
                self.authorise(name)

    def new(self, name, *scopes, folder=None):
        words = [harness.programs() / "walletctl", "keys", "new", name,
                 "--dir", folder or self.folder]
        for scope in scopes:
            words += ["--scope", scope]
        return subprocess.run(words, check=True, capture_output=True, text=True)

    def authorise(self, name, text=None, file=None):
        text = text or self.public(name).read_text()
        (self.clients / (file or f"{name}.key")).write_text(text)

    def revoke(self, file):
        (self.clients / f"{file}.key").unlink()

    def public(self, name):
        return self.folder / f"{name}.key"

    def secret(self, name):
        return self.folder / f"{name}.key_secret"

    def of(self, name, server="server", folder=None):
        own = (folder or self.folder) / f"{name}.key_secret"
        return (*zmq.auth.load_certificate(own), zmq.auth.load_certificate(self.public(server))[0])


def stranger(keys):
    return (*zmq.curve_keypair(), keys.of("app")[2])


def passes(wallet, endpoint, keys, method, **args):
    client = harness.Client(endpoint, keys=keys)
    try:
        return client.call(method, **args)
    finally:
        client.close()


def forbidden(endpoint, keys, method, code="forbidden", **args):
    global refused
    client = harness.Client(endpoint, keys=keys)
    try:
        error = client.error(method, **args)
    finally:
        client.close()
    assert error.code == code, (method, args, error)
    assert "cash" not in error.message and "coin" not in error.message, error
    assert not error.retryable
    refused += 1


def outside(endpoint, keys, method="sys.ping", plain=False):
    """The handshake fails: not even an error comes back."""
    global refused
    saved, harness.Client.keys = harness.Client.keys, None if plain else harness.Client.keys
    client = harness.Client(endpoint, keys=keys)
    harness.Client.keys = saved
    client.socket.setsockopt(zmq.IMMEDIATE, 1)
    client.socket.setsockopt(zmq.SNDTIMEO, 700)  # it may have been refused by now
    try:
        client.call(method, timeout=0.7)
        raise AssertionError(f"{method} at {endpoint} was answered")
    except (TimeoutError, zmq.Again):
        refused += 1
    finally:
        client.close()


class Counters:
    """What a few counters grew by since the last look."""

    def __init__(self, wallet, *names):
        self.wallet, self.names = wallet, names
        time.sleep(1.2)  # copies are a second old
        self.before = {name: wallet.counter(name) for name in names}

    def grew(self, name, by, seconds=6):
        harness.until(lambda: self.wallet.counter(name) >= self.before[name] + by, seconds,
                      f"{name} grows by {by}", step=0.3)
        now = self.wallet.counter(name)
        assert now == self.before[name] + by, (name, by, now - self.before[name])


def publish(wallet, keys, topic, line, uid, seconds=1.0):
    """Publishes one change until the connection must have carried it."""
    context = zmq.Context.instance()
    socket = context.socket(zmq.PUB)
    socket.linger = 200
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = keys
    socket.connect(wallet.pub)
    time.sleep(seconds)  # its subscription comes back only to those who are let in
    body = msgpack.packb([2, "notify.changed", [{"line": line, "changes": [{"uid": uid}]}]])
    socket.send_multipart([f"changed.{topic}".encode(), body])
    socket.close()


def check_doors(wallet, keys):
    """Handshakes: who does not get as far as a request."""
    counters = Counters(wallet, "auth_handshakes_refused")
    expected = 0
    for endpoint in (wallet.read, wallet.write):
        outside(endpoint, None, plain=True)
        outside(endpoint, (*keys.of("app")[:2], keys.of("app", server="operator")[2]))
        outside(endpoint, stranger(keys))
        expected += 1
    for name, endpoint in (("operator", wallet.read), ("cash", wallet.read), ("peer", wallet.read),
                           ("lines", wallet.read), ("peer", wallet.write)):
        outside(endpoint, keys.of(name))
        expected += 1
    counters.grew("auth_handshakes_refused", expected)
    published = wallet.counter("intake_pub_changes")
    global refused
    for who in (stranger(keys), keys.of("app"), keys.of("operator"), keys.of("peer")):
        publish(wallet, who, "cash", "cash", 1)
        refused += 1
    counters.grew("auth_handshakes_refused", expected + 4)
    assert wallet.counter("intake_pub_changes") == published


def check_messages(wallet, keys):
    """Requests and publications: what a key is let in for, and nothing else."""
    global refused
    change = {"changes": [{"uid": 7}]}
    asset = {"assets": [{"uid": 7, "kind": "cash", "amount": 1, "unit": "CNY", "scale": 2,
                         "version": 1}]}
    counters = Counters(wallet, "auth_refused", "intake_pub_refused", "rpc_malformed")
    before = refused
    for method, args in (("notify.changed", {"line": "cash", **change}),
                         ("notify.assets", {"line": "cash", **asset}),
                         ("notify.changed", {"line": "no-such-line", **change}),
                         ("notify.changed", {}),
                         ("admin.stats", {}), ("admin.queue", {}), ("admin.lines", {}),
                         ("admin.dlq.list", {}), ("admin.dlq.discard", {"id": 1, "note": "x"}),
                         ("admin.presence.stats", {})):
        forbidden(wallet.write, keys.of("app"), method, **args)
    for name, other in (("cash", "coin"), ("coin", "cash")):
        forbidden(wallet.write, keys.of(name), "notify.changed", line=other, **change)
        forbidden(wallet.write, keys.of(name), "notify.assets", line=other, **asset)
        forbidden(wallet.write, keys.of(name), "notify.changed", line="no-such-line", **change)
        forbidden(wallet.write, keys.of(name), "admin.stats")
        forbidden(wallet.write, keys.of(name), "admin.dlq.redrive", line=other)
    forbidden(wallet.write, keys.of("lines"), "admin.queue")
    for method, args in (("notify.changed", {"line": "cash", **change}),
                         ("notify.assets", {"line": "cash", **asset}),
                         ("wallet.refresh", {"uid": 7})):
        forbidden(wallet.write, keys.of("operator"), method, **args)
    for topic, line in (("coin", "coin"), ("cash", "coin")):
        publish(wallet, keys.of("cash"), topic, line, 9)
        refused += 1
    client = harness.Client(wallet.write, keys=keys.of("cash"))  # nobody waits for an answer
    client.send_body(msgpack.packb([2, "notify.changed", [{"line": "coin", **change}]]))
    refused += 1
    counters.grew("auth_refused", refused - before)
    client.close()
    publish(wallet, keys.of("cash"), "coin", "cash", 9)  # its own line under a foreign topic
    refused += 1
    counters.grew("intake_pub_refused", 3)


def check_allowed(wallet, keys):
    change = {"changes": [{"uid": 7}]}
    assert passes(wallet, wallet.read, keys.of("app"), "wallet.home", uid=7)["uid"] == 7
    assert passes(wallet, wallet.read, keys.of("app"), "sys.info")["curve"] is True
    assert passes(wallet, wallet.write, keys.of("app"), "wallet.refresh", uid=7)
    assert passes(wallet, wallet.write, keys.of("operator"), "sys.ping")
    assert passes(wallet, wallet.write, keys.of("operator"), "admin.queue")
    for name in ("cash", "coin"):
        assert passes(wallet, wallet.write, keys.of(name), "notify.changed", line=name,
                      **change) == {"accepted": 1}
        assert passes(wallet, wallet.write, keys.of("lines"), "notify.changed", line=name,
                      **change) == {"accepted": 1}
        assert passes(wallet, wallet.write, keys.of(name), "wallet.refresh", uid=7)
    counters = Counters(wallet, "intake_pub_changes")
    publish(wallet, keys.of("cash"), "cash", "cash", 9)
    publish(wallet, keys.of("lines"), "coin", "coin", 9)
    counters.grew("intake_pub_changes", 2)


def check_files(wallet, keys):
    """A bad file is refused alone."""
    global refused
    good = keys.public("app").read_text()
    other = keys.folder / "more"
    other.mkdir()
    keys.new("late", "read", folder=other)
    late = (other / "late.key").read_text()
    bad = {
        "noscope.key": late.replace('    scope = "read"\n', ""),
        "badscope.key": late.replace('"read"', '"reed"'),
        "noname.key": late.replace('    name = "late"\n', ""),
        "badname.key": late.replace('"late"', '"Late!"'),
        "damaged.key": late.replace('public-key = "', 'public-key = "x'),
        "nokey.key": "metadata\n    name = \"late\"\n    scope = \"read\"\n",
        "twice.key": good,
        "garbage.key": "\x00\x01\x02",
        "withsecret.key": (other / "late.key_secret").read_text(),
        "late.key_secret": (other / "late.key_secret").read_text(),
        "writable.key": late,
    }
    keys_before = wallet.counter("auth_keys")
    for name, text in bad.items():
        (keys.clients / name).write_text(text)
    (keys.clients / "writable.key").chmod(0o666)
    (keys.clients / "README").write_text("not a key, and nobody's business")
    harness.until(lambda: wallet.counter("auth_keys_refused") == len(bad), 6, "bad files counted")
    assert wallet.counter("auth_keys") == keys_before
    late_keys = keys.of("late", folder=other)
    outside(wallet.read, late_keys)
    check_allowed(wallet, keys)
    named = sum(f"{name}:" in wallet.log.read_text() for name in bad)
    assert named >= 5, named  # the log collapses what it has said ten times
    for name in bad:
        (keys.clients / name).unlink()
    keys.authorise(None, late, "late.key")
    begun = time.monotonic()
    harness.until(lambda: admitted(wallet.read, late_keys), 10, "a new key works")
    assert time.monotonic() - begun < 2.5, time.monotonic() - begun
    harness.until(lambda: wallet.counter("auth_keys_refused") == 0, 6, "no bad file is left")


def admitted(endpoint, keys, timeout=0.3):
    client = harness.Client(endpoint, keys=keys)
    try:
        client.call("sys.ping", timeout=timeout)
        return True
    except TimeoutError:
        return False
    finally:
        client.close()


def check_revoked(wallet, keys):
    """A key that is gone: its open connection is answered `unauthorized`, a new one not at all."""
    global refused
    open_client = harness.Client(wallet.read, keys=keys.of("app"))
    open_client.call("sys.ping")
    rescoped = harness.Client(wallet.write, keys=keys.of("cash"))
    assert rescoped.call("notify.changed", line="cash", changes=[{"uid": 1}])
    keys.revoke("app")
    keys.authorise("cash", keys.public("cash").read_text().replace("notify:cash", "notify:coin"))
    begun = time.monotonic()

    def told():
        try:
            open_client.call("wallet.golden", uid=7)
            return False
        except harness.Error as error:
            assert error.code == "unauthorized", error
            return True

    harness.until(told, 10, "the open connection is refused")
    assert time.monotonic() - begun < 2.5
    outside(wallet.read, keys.of("app"))
    error = rescoped.error("notify.changed", line="cash", changes=[{"uid": 1}])
    assert error.code == "forbidden", error
    assert rescoped.call("notify.changed", line="coin", changes=[{"uid": 1}])
    refused += 2
    keys.authorise("app")
    keys.authorise("cash")
    wallet.process.send_signal(1)  # SIGHUP: at once
    harness.until(lambda: admitted(wallet.read, keys.of("app")), 5, "it is welcome again")
    open_client.call("wallet.golden", uid=7)  # the same connection, the same key
    open_client.close()
    rescoped.close()


class Traffic(threading.Thread):
    """Asks without a pause, with the keys that are current; a lost answer ends the test."""

    def __init__(self, endpoint, keys):
        super().__init__(daemon=True)
        self.endpoint, self.keys, self.next = endpoint, keys, keys
        self.answers, self.lost, self.ended = 0, [], False
        self.start()

    def run(self):
        client = harness.Client(self.endpoint, keys=self.keys)
        while not self.ended:
            if self.next is not self.keys:
                self.keys = self.next
                client.close()
                client = harness.Client(self.endpoint, keys=self.keys)
            try:
                client.call("wallet.home", uid=1 + self.answers % 50)
                self.answers += 1
            except Exception as error:  # pylint: disable=broad-except
                self.lost.append(error)
        client.close()


def check_rotation(wallet, keys):
    """Two files of one client name overlap while it changes over: nothing is lost."""
    traffic = [Traffic(wallet.read, keys.of("app")) for _ in range(3)]
    fresh = keys.folder / "fresh"
    fresh.mkdir()
    keys.new("app", "read", folder=fresh)
    keys.authorise(None, (fresh / "app.key").read_text(), "app-2.key")
    harness.until(lambda: admitted(wallet.read, keys.of("app", folder=fresh)), 5, "both keys work")
    seen = sum(t.answers for t in traffic)
    for one in traffic:
        one.next = keys.of("app", folder=fresh)
        time.sleep(0.2)
    harness.until(lambda: all(t.keys is t.next for t in traffic), 5, "clients change over")
    keys.revoke("app")
    old = keys.of("app")
    harness.until(lambda: not admitted(wallet.read, old), 5, "the old key ends")
    time.sleep(1)
    for one in traffic:
        one.ended = True
        one.join()
        assert not one.lost, one.lost[:3]
    assert sum(t.answers for t in traffic) > seen + 30
    keys.authorise("app")
    keys.revoke("app-2")
    harness.until(lambda: admitted(wallet.read, old), 5, "the old key is back")


def start_fails(wallet, keys, why, **settings):
    other = harness.Wallet(*DOCUMENTS, **{**curve(keys), **settings})
    other.start(wait=0)
    code = other.process.wait(20)
    text = other.log.read_text()
    assert code != 0 and why in text, (why, code, text)


def curve(keys, **more):
    return {"curve__key_file": keys.secret("server"), "curve__clients": keys.clients, **more}


def check_start(keys):
    """Keys that would not protect anything are refused before anything is bound."""
    loose = keys.folder / "loose.key_secret"
    shutil.copy(keys.secret("server"), loose)
    loose.chmod(0o640)
    start_fails(None, keys, "600", curve__key_file=loose)
    half = keys.folder / "half.key_secret"
    shutil.copy(keys.public("server"), half)
    half.chmod(0o600)
    start_fails(None, keys, "secret-key is missing", curve__key_file=half)
    start_fails(None, keys, "cannot be opened", curve__key_file=keys.folder / "nobody.key_secret")
    start_fails(None, keys, "curve.clients", curve__clients="")
    start_fails(None, keys, "curve.clients", curve__clients=keys.folder / "nowhere")
    start_fails(None, keys, "curve.key_file", curve__key_file="")
    mixed = keys.folder / "mixed.key_secret"
    text = keys.secret("server").read_text().splitlines()
    text[-1] = keys.secret("app").read_text().splitlines()[-1]
    mixed.write_text("\n".join(text) + "\n")
    mixed.chmod(0o600)
    start_fails(None, keys, "does not belong to the public key", curve__key_file=mixed)
    keys.clients.chmod(0o777)
    start_fails(None, keys, "others may add keys")
    keys.clients.chmod(0o755)
    everywhere = f"tcp://0.0.0.0:{harness.free_port()}"
    start_fails(None, keys, "not loopback", curve__key_file="", curve__clients="",
                frontend__endpoint=everywhere)
    wallet = harness.Wallet(*DOCUMENTS, **curve(keys, frontend__endpoint=everywhere))
    wallet.read = everywhere.replace("0.0.0.0", "127.0.0.1")
    wallet.start()
    outside(wallet.read, None, plain=True)
    wallet.stop()


def walletctl(wallet, *words, code=0, key=None, server="server", keys=None, env=None):
    flags = ["-e", wallet.read, "-w", wallet.write, "--timeout", "2000"] if wallet else []
    if key:
        flags += ["--key", keys.secret(key), "--server-key", server]
    done = subprocess.run([str(w) for w in [harness.programs() / "walletctl", *flags, *words]],
                          capture_output=True, text=True, env={**os.environ, **(env or {})})
    assert done.returncode == code, (words, done)
    return done


def check_tools(wallet, keys):
    server = keys.public("server")
    walletctl(wallet, "home", 7, key="app", keys=keys, server=server)
    walletctl(wallet, "queue", key="operator", keys=keys, server=server)
    walletctl(wallet, "queue", key="app", keys=keys, server=server, code=1)
    walletctl(wallet, "home", 7, key="operator", keys=keys, server=server, code=5)
    walletctl(wallet, "home", 7, code=5)
    walletctl(wallet, "home", 7, env={"WALLET_KEY": str(keys.secret("app")),
                                      "WALLET_SERVER_KEY": str(server)})
    # While the server's key is being changed clients know both.
    both = f"{keys.public('operator')},{server}"
    walletctl(wallet, "home", 7, key="app", keys=keys, server=both)
    listed = walletctl(None, "keys", "list", keys.clients).stdout
    assert "notify:cash" in listed and "boss" in listed, listed
    shown = walletctl(None, "keys", "show", keys.secret("app")).stdout
    secret = zmq.auth.load_certificate(keys.secret("app"))[1].decode()
    assert secret not in shown and "public_key" in shown
    assert secret not in wallet.log.read_text()
    again = walletctl(None, "keys", "new", "app", "--scope", "read", "--dir", keys.folder, code=4)
    assert "never overwritten" in again.stderr, again
    walletctl(None, "keys", "new", "App", "--dir", keys.folder, code=2)
    walletctl(None, "keys", "new", "x", "--scope", "everything", "--dir", keys.folder, code=2)
    assert keys.secret("app").stat().st_mode & 0o777 == 0o600
    made = keys.folder / "made"
    keys.new("app", "read", folder=made)
    assert made.stat().st_mode & 0o777 == 0o700
    example = harness.ROOT / "examples" / "python" / "wallet.py"
    subprocess.run(["/usr/bin/python3", example, "-e", wallet.read, "-k", keys.secret("app"),
                    "-s", server, "7"], check=True, stdout=subprocess.DEVNULL)


DOCUMENTS = ({"lines": {}}, {"golden": [], "sections": []})


def main():
    keys = Keys()
    lines = harness.LineSim(None, LINES, 100, seed=3)
    lines.start()
    config = {name: harness.line_config(name, lines.urls[name], unit, scale)
              for name, unit, scale in (("cash", "CNY", 2), ("coin", "bean", 0))}
    wallet = harness.Wallet({"lines": config}, harness.pages(config), **curve(keys))
    harness.Client.keys = keys.of("boss")
    wallet.start()
    check_allowed(wallet, keys)
    check_doors(wallet, keys)
    check_messages(wallet, keys)
    check_files(wallet, keys)
    check_revoked(wallet, keys)
    check_rotation(wallet, keys)
    check_tools(wallet, keys)
    wallet.stop()
    check_start(keys)
    lines.stop()
    assert refused >= 30, refused
    harness.passed("curve", refused=refused)


if __name__ == "__main__":
    sys.exit(main())
