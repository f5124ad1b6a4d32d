"""What strangers send. After each attack walletd is up, answers a good request, has said clearly
what was wrong, has counted it, and has not grown."""
import os
import random
import socket
import struct
import sys
import time

import msgpack
import zmq

import harness

USERS = 400
GROWTH_MB_MAX = 64
FIRST_MB_MAX = 192  # of the first round: the sanitizer's shadow of all that is touched first
REPLY_CODES = {"bad_request", "unknown_method", "not_found", "deadline", "busy", "unavailable"}
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}
# AddressSanitizer keeps freed memory from reuse; that is no growth of walletd's.
SANITIZER = os.environ.get("ASAN_OPTIONS", "abort_on_error=1") + ":quarantine_size_mb=4"

# ---- a peer that speaks ZMTP 3.0 by hand, and so can break its rules ----
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)


def ready(kind=b"DEALER"):
    body = b"\x05READY"
    for name, value in ((b"Socket-Type", kind), (b"Identity", b"")):
        body += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    return b"\x04" + bytes([len(body)]) + body


def frame(body, more=False):
    if len(body) < 256:
        return bytes([1 if more else 0, len(body)]) + body
    return bytes([3 if more else 2]) + struct.pack(">Q", len(body)) + body


def connect(endpoint, receive_bytes=None):
    peer = socket.socket()
    if receive_bytes:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    peer.settimeout(10)
    peer.connect(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])))
    return peer


def shake_hands(endpoint, kind=b"DEALER", **more):
    peer = connect(endpoint, **more)
    peer.sendall(GREETING + ready(kind))
    heard = b""
    while len(heard) < 64 + 2 or len(heard) < 66 + heard[65]:
        part = peer.recv(4096)
        assert part, "the server hung up on a good handshake"
        heard += part
    return peer


def hung_up(peer):
    """Reads until the server closes; it must within the socket's timeout."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionResetError:
        pass
    peer.close()


class Attack:
    def __init__(self):
        self.wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []})
        self.lines = harness.LineSim(self.wallet, LINES, USERS, kind="release", owners=1, seed=2)
        config = {
            "cash": harness.line_config("cash", self.lines.urls["cash"]),
            "coin": harness.line_config("coin", self.lines.urls["coin"], unit="bean", scale=0),
        }
        for line in config.values():
            line.update(retry_base_ms=20, retry_max_ms=100, attempts_max=4)
        config["help"] = {"kind": "link", "mode": "link", "title": "Help", "url": "app://help"}
        self.wallet.put("integration", {"lines": config})
        self.wallet.put("presentation", harness.pages(
            {line: config[line] for line in ("cash", "coin")}))
        self.wallet.start(env={**os.environ, "ASAN_OPTIONS": SANITIZER})
        self.lines.start()
        self.reader, self.writer = self.wallet.reader(), self.wallet.writer()
        for line in LINES:
            self.writer.call("notify.changed", line=line,
                             changes=[{"uid": uid} for uid in range(1, USERS + 1)])
        self.wallet.wait_quiet(30)
        self.counts = {}
        self.attacks = 0
        self.learn_truth()
        for _ in range(20):
            self.good()
        self.measure_from_here(FIRST_MB_MAX)

    def owns(self, uid):
        held = [self.truth[line, uid, ""] for line in LINES if (line, uid, "") in self.truth]
        return any(asset["state"] != "gone" and int(asset["amount"]) > 0 for asset in held)

    def learn_truth(self):
        truth = self.lines.truth()
        self.uid, self.amount, self.version = next(
            (uid, int(asset["amount"]), int(asset["version"]))
            for (line, uid, _), asset in sorted(truth.items())
            if line == "cash" and asset["state"] == "available" and int(asset["amount"]) > 0)
        self.truth = truth

    def rss_mb(self):
        with open(f"/proc/{self.wallet.process.pid}/status") as status:
            return next(int(row.split()[1]) for row in status if row.startswith("VmRSS")) / 1024

    def measure_from_here(self, growth_max):
        self.rss = self.rss_most = self.rss_mb()
        self.growth_max = growth_max

    def good(self):
        """A good read, a good has, a good write."""
        home = self.reader.call("wallet.home", uid=self.uid)
        cash = next(slot for slot in home["golden"] if slot["line"] == "cash")
        assert home["has_assets"] is True and cash["amount"] == self.amount, home
        has = self.reader.call("wallet.has_assets", uids=[self.uid, 10**15])["has"]
        assert has == [True, False], has
        assert self.writer.call("admin.queue")["entries"] >= 0

    def expect(self, **counts):
        """These counters must have grown by at least so much when the attack is over."""
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def over(self, name):
        self.attacks += 1
        code = self.wallet.process.poll()
        assert code is None, f"{name}: walletd ended with {code}\n{self.wallet.tail()}"
        self.good()
        for counter, least in self.counts.items():
            harness.until(lambda: self.wallet.counter(counter) >= least, 10,
                          f"{name}: {counter} is {self.wallet.counter(counter)}, expected {least}")
        rss = self.rss_mb()
        self.rss_most = max(self.rss_most, rss)
        assert rss - self.rss < self.growth_max, f"{name}: {self.rss:.0f} MB became {rss:.0f} MB"
        log = self.wallet.log.read_text(errors="replace")
        assert "ERROR: " not in log and "runtime error" not in log, f"{name}: {self.wallet.tail()}"

    def refused(self, client, body, code, words, msgid=7):
        """The body is answered with this code and a message that has these words in it."""
        client.send_body(body)
        reply = client.receive()
        assert reply is not None, f"no reply to {body[:60]!r}"
        got, error, result = reply
        assert error is not None, f"{body[:60]!r} was accepted: {result}"
        assert got == msgid, f"the reply to {body[:60]!r} is for {got}, not {msgid}"
        assert error["code"] == code, f"{body[:60]!r}: {error}"
        assert words in error["message"], f"{body[:60]!r}: {error['message']!r} without {words!r}"
        assert 0 < len(error["message"].encode()) <= 160, error
        assert error["retryable"] is (code in ("busy", "deadline", "unavailable")), error
        self.expect(rpc_errors=1)


def request(method, *params, msgid=7, kind=0):
    return msgpack.packb([kind, msgid, method, list(params)])


def bodies(attack):
    """Bytes that are no MessagePack, or more than anybody needs."""
    clients = [attack.wallet.reader(), harness.Client(attack.wallet.read, delimiter=False),
               attack.wallet.writer()]
    refused = attack.counts.get("rpc_errors", 0)
    whole = "whole MessagePack object"
    good = request("wallet.home", {"uid": attack.uid})
    for client in clients:
        attack.refused(client, b"", "bad_request", whole, msgid=0)
        for cut in range(1, len(good)):
            attack.refused(client, good[:cut], "bad_request", whole, msgid=7 if cut > 2 else 0)
        attack.refused(client, good + b"\x00", "bad_request", whole)
        attack.refused(client, b"\xc1" * 10, "bad_request", whole, msgid=0)
        head = b"\x94\x00\x07"
        for bomb in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
                     b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xdc\xff\xff"):
            attack.refused(client, bomb, "bad_request", "", msgid=0)
            attack.refused(client, head + bomb, "bad_request", "")
            attack.refused(client, head + b"\xa1x\x91" + bomb * 30, "bad_request", "")
        attack.refused(client, head + b"\xa1x\x91" + b"\x91" * 17 + b"\xc0", "bad_request",
                       "16 deep")
        attack.refused(client, b"\x91" * 60000, "bad_request", "", msgid=0)
        attack.refused(client, b"\x81\x01" * 30000 + b"\x01", "bad_request", "", msgid=0)
        attack.refused(client, head + b"\xa1x\x91\xdc" + struct.pack(">H", 60000) + b"\x01" * 60000,
                       "bad_request", "20000 objects")
        big = request("sys.ping", {"x": b"y" * 65536})  # served on both ports
        attack.refused(client, big, "bad_request", f"at most 65536 bytes, got {len(big)}")
    reader, writer = clients[0], clients[-1]
    attack.refused(reader, big[:65537], "bad_request", "at most 65536 bytes, got 65537")
    big = request("admin.config.put", {"x": b"y" * 262144})  # it may bring documents
    attack.refused(writer, big[:262145], "bad_request", "at most 262144 bytes, got 262145")
    fitting = request("wallet.home", {"uid": attack.uid, "x": b""})
    fitting = request("wallet.home", {"uid": attack.uid, "x": b"y" * (65536 - len(fitting) - 1)})
    assert len(fitting) == 65536
    clients[0].send_body(fitting)
    assert clients[0].receive()[1] is None, "a request of 65,536 bytes was refused"
    attack.expect(rpc_malformed=attack.counts["rpc_errors"] - refused)
    for client in clients:
        client.close()
    attack.over("bodies")


def envelopes(attack):
    """MessagePack that is no request."""
    client = attack.wallet.reader()
    shape = "[0, msgid, method, [args]]"
    for root in (None, 5, -1, "text", b"bin", 1.5, True, {}, {0: 1}, [], [0], [0, 7], [0, 7, "x"],
                 [0, 7, "sys.ping", [{}], 1], [1, 7, None, {}], [3, 7, "sys.ping", [{}]],
                 ["0", 7, "sys.ping", [{}]], [0, -1, "sys.ping", [{}]], [0, "7", "sys.ping", [{}]],
                 [0, None, "sys.ping", [{}]], [0, 1.5, "sys.ping", [{}]]):
        seven = isinstance(root, list) and len(root) > 1 and root[0] == 0 and root[1] == 7
        attack.refused(client, msgpack.packb(root), "bad_request", shape, msgid=7 if seven else 0)
    for method, words in ((5, "got int"), (None, "got nil"), (["x"], "got array"), ({}, "got map")):
        attack.refused(client, request(method, {}), "bad_request", words)
    for method in ("", "wallet.hom", "wallet.homes", "Wallet.Home", "wallet.home\0", "\n\x1b[31m",
                   "x" * 60000, "admin.shutdown", b"\xff\xfe"):
        attack.refused(client, request(method, {}), "unknown_method", "there is no")
    for method in ("notify.changed", "notify.assets", "wallet.refresh", "admin.stats"):
        attack.refused(client, request(method, {}), "unknown_method", "served on the writer port")
    other = attack.wallet.writer()
    for method in ("wallet.home", "wallet.golden", "wallet.has_assets"):
        attack.refused(other, request(method, {}), "unknown_method", "served on the reader port")
    for params in ({}, "x", 5, None, [{}, {}], [[]], ["x"], [5]):
        body = msgpack.packb([0, 7, "sys.ping", params])
        attack.refused(client, body, "bad_request", "params")
    # What looks odd but is allowed.
    for body, msgid in ((msgpack.packb([0, 2**64 - 1, "sys.ping", [{}]]), 2**64 - 1),
                        (msgpack.packb([0.0, 7.0, b"sys.ping", [{}]]), 7),
                        (msgpack.packb([0, 0, "sys.ping", []]), 0),
                        (msgpack.packb([0, 7, "sys.ping", [None]]), 7),
                        (b"\xdd\0\0\0\x04\xcf" + bytes(8) + b"\xcd\0\x07\xda\0\x08sys.ping"
                         b"\xdc\0\x01\xdf\0\0\0\0", 7),
                        (request("sys.ping", {"unknown": {"deep": [1, 2]}, 5: 5, "uid": -1}), 7)):
        client.send_body(body)
        assert client.receive() == (msgid, None, {"pong": True}), body
    # Nobody waits for what a notification of a read returns.
    client.send_body(msgpack.packb([2, "wallet.home", [{"uid": attack.uid}]]))
    client.send_body(msgpack.packb([2, "nonsense", []]))
    client.send_body(request("sys.ping", {}, msgid=99))
    assert client.receive()[0] == 99
    attack.expect(rpc_malformed=2)
    client.close()
    other.close()
    attack.over("envelopes")


def arguments(attack):
    client = attack.wallet.reader()
    for method in ("wallet.home", "wallet.golden", "wallet.assets"):
        for uid, words in ((0, "uid"), (-1, "must not be negative"), (-2**63, "negative"),
                           ("5", "got str"), (b"5", "got"), (None, "uid"), (True, "got bool"),
                           ([5], "got array"), ({}, "got map"), (1.5, "fraction"),
                           (float("nan"), "uid"), (float("inf"), "uid"), (2.0**63, "above 2^53"),
                           (-1.0, "negative"), (msgpack.ExtType(1, b"x" * 16), "uid")):
            attack.refused(client, request(method, {"uid": uid}), "bad_request", words)
        attack.refused(client, request(method, {}), "bad_request", "uid")
        attack.refused(client, request(method), "bad_request", "uid")
        for uid in (2**64 - 1, 2**63, float(attack.uid), 2.0**53, 1):
            reply = client.call(method, uid=uid)
            assert reply["uid"] == int(uid), reply
    first = client.call("wallet.home", uid=float(attack.uid))
    assert first["has_assets"] is True
    for lines, words in (("cash", "array"), (["CASH"], "line id"), ([5], "line id"),
                         (["x" * 33], "line id"), (["a/b"], "line id")):
        attack.refused(client, request("wallet.assets", {"uid": 1, "lines": lines}), "bad_request",
                       words)
    attack.refused(client, request("wallet.assets", {"uid": 1, "lines": ["nosuch"]}), "not_found",
                   "nosuch")
    attack.refused(client, request("wallet.assets", {"uid": 1, "lines": ["cash"] * 65}),
                   "bad_request", "lines")
    attack.refused(client, request("wallet.home", {"uid": 1, "min_version": [1]}), "bad_request",
                   "min_version")
    attack.refused(client, request("wallet.home", {"uid": 1, "scene": "x" * 65}), "bad_request",
                   "scene")
    thousand = list(range(1, 1001))
    assert client.call("wallet.has_assets", uids=thousand)["has"] == [
        uid <= USERS and attack.owns(uid) for uid in thousand]
    assert client.call("wallet.has_assets", uids=[])["has"] == []
    assert client.call("wallet.has_assets", uids=[2**64 - 1, 2.0])["has"][0] is False
    assert client.call("wallet.has_assets", uids=[attack.uid] * 1000)["has"] == [True] * 1000
    for uids, words in ((list(range(1, 1002)), "at most 1000 users, got 1001"), ("x", "uids"),
                        ([1, 0], "element 1"), ([1, 2, "3"], "element 2"), ([-1], "element 0"),
                        ([None], "element 0"), ({1: 2}, "uids"), (5, "uids")):
        attack.refused(client, request("wallet.has_assets", {"uids": uids}), "bad_request", words)
    attack.refused(client, request("wallet.has_assets", {}), "bad_request", "uids")
    for deadline in (0, -1, -2**63, 0.0):
        attack.refused(client, request("sys.ping", {"deadline_ms": deadline}), "deadline",
                       "deadline_ms")
        attack.refused(client, request("wallet.home", {"uid": 1, "deadline_ms": deadline}),
                       "deadline", "deadline_ms")
    attack.expect(rpc_expired=8)
    for deadline in ("5", [1], 1.5, 2**64 - 1):
        attack.refused(client, request("sys.ping", {"deadline_ms": deadline}), "bad_request",
                       "deadline_ms")
    assert client.call("wallet.home", uid=attack.uid, deadline_ms=2**62)["uid"] == attack.uid
    for uid in range(1, 51):  # either answered or late, but always one of the two
        msgid = client.send("wallet.home", uid=uid, deadline_ms=1)
        got, error, result = client.receive()
        assert got == msgid and (error["code"] == "deadline" if error else result["uid"] == uid)
    client.close()
    attack.over("arguments")


def framings(attack):
    good = request("sys.ping", {})
    context = zmq.Context.instance()
    asker = context.socket(zmq.REQ)
    asker.linger = 0
    asker.connect(attack.wallet.read)
    for _ in range(3):
        asker.send(good)
        assert asker.poll(5000)
        assert msgpack.unpackb(asker.recv()) == [1, 7, None, {"pong": True}]
    asker.close()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.connect(attack.wallet.read)
    for sent, framed in (([good], 1), ([b"", good], 2)):
        dealer.send_multipart(sent)
        assert dealer.poll(5000)
        got = dealer.recv_multipart()
        assert len(got) == framed and got[:-1] == [b""] * (framed - 1), got
    refused = 0
    for sent in ([b"", good, good], [b"", b"", good], [good, good], [b"x", b"", good],
                 [b"", good, b""], [b""] * 50, [b"x"] * 10000, [good] * 3):
        dealer.send_multipart(sent)
        assert dealer.poll(5000), sent[:5]
        got = dealer.recv_multipart()
        error = msgpack.unpackb(got[-1])[2]
        assert error["code"] == "bad_request" and "one frame" in error["message"], error
        refused += 1
    attack.expect(rpc_errors=refused, rpc_malformed=refused)
    # Two clients of one name: the second gets nothing, the first goes on.
    first, second = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    for named in (first, second):
        named.linger = 0
        named.setsockopt(zmq.IDENTITY, b"n" * 255)
        named.connect(attack.wallet.read)
        named.send(good)
        if named is first:
            assert first.poll(5000) and first.recv()
    first.send(good)
    assert first.poll(5000) and first.recv() and not second.poll(200)
    for named in (dealer, first, second):
        named.close()
    # 65 KiB are refused with words, 1 MiB and 200 MiB cut the connection before they arrive.
    greedy = attack.wallet.reader()
    greedy.send_body(request("wallet.home", {"uid": 1, "x": b"y" * (1 << 20)}))
    assert greedy.receive(0.5) is None

    def again():
        try:
            return greedy.call("sys.ping", timeout=0.3)
        except TimeoutError:
            return None
    harness.until(again, 10, "a client that was cut off can come again")
    greedy.close()
    for endpoint in (attack.wallet.read, attack.wallet.write, attack.wallet.pub):
        kind = b"PUB" if endpoint == attack.wallet.pub else b"DEALER"
        peer = connect(endpoint)
        peer.sendall(GREETING + ready(kind) + b"\x02" + struct.pack(">Q", 200 << 20))
        try:
            for _ in range(64):
                peer.sendall(bytes(1 << 14))
        except OSError:
            pass
        hung_up(peer)
    attack.over("framings")


def vanishing(attack):
    """Clients that do not wait for their reply."""
    burst = b"".join(frame(b"", more=True) + frame(request("wallet.home", {"uid": uid}))
                     for uid in range(1, 201))
    for _ in range(20):
        peer = shake_hands(attack.wallet.read)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sendall(burst)
        peer.close()  # with a reset
    attack.expect(rpc_unroutable=1)
    attack.over("clients that vanish")


def silent(attack):
    """A client that asks 10,000 times and never reads; others do not notice."""
    client = attack.wallet.reader()
    mute = zmq.Context.instance().socket(zmq.DEALER)
    mute.linger, mute.rcvhwm, mute.sndhwm = 0, 1, 0
    mute.setsockopt(zmq.RCVBUF, 4096)
    mute.connect(attack.wallet.read)
    slowest = 0.0
    for number in range(10000):
        mute.send_multipart([b"", request("wallet.home", {"uid": attack.uid}, msgid=number)])
        if number % 100 == 0:
            begun = time.monotonic()
            client.call("wallet.home", uid=attack.uid)
            slowest = max(slowest, time.monotonic() - begun)
    attack.expect(rpc_slow_client=1000)
    assert slowest < 2.0, f"another client waited {slowest:.2f} s"
    attack.over("a client that never reads")
    mute.close()
    client.close()


def noise(attack):
    """20,000 messages of random bytes, and of good requests with random damage."""
    pick = random.Random(20)
    templates = {
        attack.wallet.read: [request("wallet.home", {"uid": 5, "deadline_ms": 100}),
                             request("wallet.has_assets", {"uids": [1, 2, 3]}),
                             request("wallet.assets", {"uid": 6, "lines": ["cash"]})],
        attack.wallet.write: [request("wallet.refresh", {"uid": 5, "lines": ["cash"]}),
                              request("notify.changed", {"line": "coin", "changes": [{"uid": 5}]}),
                              request("admin.dlq.list", {"limit": 3})],
    }
    for endpoint, goods in templates.items():
        client = harness.Client(endpoint)
        client.socket.rcvhwm = client.socket.sndhwm = 0
        answered, codes = 0, set()
        for number in range(10000):
            if number % 2 == 0:
                body = pick.randbytes(pick.randrange(0, 120))
            else:
                damaged = bytearray(pick.choice(goods))
                for _ in range(pick.randint(1, 3)):
                    damaged[pick.randrange(len(damaged))] = pick.randrange(256)
                body = bytes(damaged)
            client.send_body(body)
            while client.socket.poll(0):
                reply = client.receive()
                answered += 1
                if reply[1]:
                    codes.add(reply[1]["code"])
        while True:
            reply = client.receive(1.0)
            if reply is None:
                break
            answered += 1
            if reply[1]:
                codes.add(reply[1]["code"])
        assert answered > 9800, f"only {answered} of 10,000 were answered"
        assert codes <= REPLY_CODES, codes
        client.close()
    attack.over("noise")


def raw_tcp(attack, waiting):
    pick = random.Random(21)
    for endpoint in (attack.wallet.read, attack.wallet.write, attack.wallet.pub):
        for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 50,
                     b"\xff", b"\0" * 64, GREETING[:64], GREETING + b"\x04\xff" + b"x" * 255,
                     GREETING + b"\x00\x05hello", GREETING + ready(b"PUSH"),
                     GREETING[:12] + b"PLAIN" + GREETING[17:] + ready(),
                     pick.randbytes(4096), pick.randbytes(100000)):
            peer = connect(endpoint)
            try:
                peer.sendall(junk)
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            peer.close()
    attack.over("raw TCP")
    for peer in waiting:  # they never finished their handshake
        hung_up(peer)
    attack.over("unfinished handshakes")


def notifications(attack):
    client = attack.writer

    def changed(**args):
        return request("notify.changed", args)
    for args, code, words in (
            ({}, "bad_request", "line"),
            ({"line": "cash"}, "bad_request", "changes"),
            ({"line": "nosuch", "changes": [{"uid": 1}]}, "not_found", "nosuch"),
            ({"line": "help", "changes": [{"uid": 1}]}, "bad_request", "link"),
            ({"line": "CASH", "changes": [{"uid": 1}]}, "bad_request", "line"),
            ({"line": 5, "changes": [{"uid": 1}]}, "bad_request", "line"),
            ({"line": "cash", "changes": []}, "bad_request", "empty"),
            ({"line": "cash", "changes": {}}, "bad_request", "changes"),
            ({"line": "cash", "changes": [{}]}, "bad_request", "changes/0/uid"),
            ({"line": "cash", "changes": [{"uid": 1}, 5]}, "bad_request", "changes/1"),
            ({"line": "cash", "changes": [{"uid": 0}]}, "bad_request", "changes/0/uid"),
            ({"line": "cash", "changes": [{"uid": "1"}]}, "bad_request", "changes/0/uid"),
            ({"line": "cash", "changes": [{"uid": 1, "version": -1}]}, "bad_request", "version"),
            ({"line": "cash", "changes": [{"uid": 1, "version": 2**63}]}, "bad_request", "version"),
            ({"line": "cash", "changes": [{"uid": 1, "version": "1"}]}, "bad_request", "version"),
            ({"line": "cash", "changes": [{"uid": 1, "bucket": "b" * 17}]}, "bad_request",
             "bucket"),
            ({"line": "cash", "changes": [{"uid": 1}] * 1001}, "bad_request", "changes")):
        attack.refused(client, changed(**args), code, words)
    for args, code, words in (({}, "bad_request", "uid"), ({"uid": 0}, "bad_request", "uid"),
                              ({"uid": 1, "lines": []}, "bad_request", "lines"),
                              ({"uid": 1, "lines": ["nosuch"]}, "not_found", "nosuch"),
                              ({"uid": 1, "lines": ["help"]}, "bad_request", "link")):
        attack.refused(client, request("wallet.refresh", args), code, words)
    for method, args in (("admin.dlq.show", {}), ("admin.dlq.discard", {"id": "x", "note": "n"}),
                         ("admin.dlq.redrive", {"line": 5})):
        attack.refused(client, request(method, args), "bad_request", "")
    attack.refused(client, request("admin.dlq.show", {"id": 10**9}), "not_found", "")

    # Duplicates cost one pull or are answered by the version guard; the truth stands in the end.
    before = attack.lines.stats()["lines"]["cash"]["users"]
    uid, version = attack.uid, attack.version
    assert client.call("notify.changed", line="cash", changes=[{"uid": uid}] * 10)["accepted"] == 10
    for _ in range(10):
        client.call("notify.changed", line="cash", changes=[{"uid": uid, "version": version}])
    assert client.call("notify.changed", line="cash",
                       changes=[{"uid": uid, "version": v} for v in range(version, 0, -1)])
    assert client.call("notify.changed", line="cash",
                       changes=[{"uid": 1 + n % USERS} for n in range(1000)])["accepted"] == 1000
    attack.wallet.wait_quiet(30)
    pulled = attack.lines.stats()["lines"]["cash"]["users"] - before
    assert pulled <= USERS + 25, f"{pulled} users were pulled for {USERS} changed"
    attack.expect(intake_changes=1020, queue_merged=9)
    attack.over("notifications")


def never_reached(attack):
    """A version that the line never gives: retried, then a dead letter; the copy says stale."""
    client = attack.writer
    uid = attack.uid
    client.call("notify.changed", line="cash", changes=[{"uid": uid, "version": 10**6}])
    harness.until(lambda: attack.wallet.queue()["dead"] == 1, 20, "the pair is a dead letter")
    home = client_home = attack.reader.call("wallet.home", uid=uid)
    cash = next(slot for slot in client_home["golden"] if slot["line"] == "cash")
    assert cash["amount"] == attack.amount and cash["freshness"] == "stale", cash
    assert home["degraded"] == ["cash"], home["degraded"]
    letter = client.call("admin.dlq.list")["letters"][0]
    assert letter["uid"] == uid and letter["line"] == "cash" and letter["reason"], letter
    assert client.call("admin.dlq.discard", id=letter["id"], note="a lie")["discarded"] == 1
    client.call("notify.changed", line="cash", changes=[{"uid": uid}])
    attack.wallet.wait_quiet(20)
    harness.until(lambda: attack.reader.call("wallet.home", uid=uid)["degraded"] == [], 10,
                  "the copy is fresh after a good pull")
    attack.expect(pull_behind=1, queue_dead=1)
    attack.over("a version that is never reached")


def publications(attack):
    """PUB has no reply: what is wrong is counted, and never taken."""
    pub = zmq.Context.instance().socket(zmq.XPUB)
    pub.linger = 1000
    pub.connect(attack.wallet.pub)
    assert pub.poll(5000) and pub.recv() == b"\x01changed."

    def body(line="cash", seq=None, uid=attack.uid, kind=2, method="notify.changed", **more):
        args = {"line": line, "source": "s1", "changes": [{"uid": uid}], **more}
        if seq is not None:
            args["seq"] = seq
        return msgpack.packb([kind, method, [args]])
    for number in (1, 2, 5, 6, 6, 5, 1, 2, 10):
        pub.send_multipart([b"changed.cash", body(seq=number)])
    attack.expect(intake_pub_gaps=2, intake_pub_lost=2 + 7, intake_pub_changes=9)
    bad = [
        [b"changed.coin", body()],                       # another line's topic
        [b"changed.nosuch", body(line="nosuch")],
        [b"changed.help", body(line="help")],
        [b"changed.cash"], [b"changed.", body()], [b"changed.CASH", body()],
        [b"changed.cash\0", body()], [b"changed." + b"x" * 33, body()],
        [b"changed.cash", body(), b"more"], [b"changed.cash", b""], [b"changed.cash", b"\xc1"],
        [b"changed.cash", body()[:-1]], [b"changed.cash", b"\xdd\xff\xff\xff\xff"],
        [b"changed.cash", b"\x91" * 1000], [b"changed.cash", body(method="admin.dlq.discard")],
        [b"changed.cash", body(method="wallet.home")], [b"changed.cash", body(changes=[])],
        [b"changed.cash", body(changes=[{"uid": 0}])], [b"changed.cash", body(line=5)],
        [b"changed.cash", body(changes=[{"uid": 1}] * 1001)],
        [b"changed.cash", msgpack.packb([0, 7, "notify.changed",
                                         [{"line": "cash", "changes": [{"uid": 1}]}]])],
        [b"changed.cash", body(x=b"y" * 70000)],
    ]
    for message in bad:
        pub.send_multipart(message)
    # A sequence that is no number does not spoil the change.
    pub.send_multipart([b"changed.cash", body(seq="x")])
    pub.send_multipart([b"changed.cash", body(source=5, seq=1)])
    attack.expect(intake_pub_refused=len(bad), intake_pub_changes=2)
    attack.over("publications")
    refused = attack.wallet.counter("intake_pub_refused")
    assert refused == len(bad), f"{refused} refused of {len(bad)}"
    pub.close()
    attack.wallet.wait_quiet(20)


def payloads(attack):
    """notify.assets saves the pull, and lies in it change nothing."""
    client, reader = attack.writer, attack.reader
    uid = 777777  # the line itself knows nothing about this user

    def asset(**more):
        return {"uid": uid, "version": 5, "kind": "cash", "amount": 500, "unit": "CNY", "scale": 2,
                "state": "available", **more}

    def held():
        found = [a for a in reader.call("wallet.assets", uid=uid)["assets"] if a["line"] == "cash"]
        assert len(found) <= 1, found
        return (found[0]["version"], found[0]["amount"]) if found else None

    def tell(*assets):
        assert client.call("notify.assets", line="cash",
                           assets=list(assets))["accepted"] == len(assets)
        attack.wallet.wait_quiet(20)
    calls = attack.lines.stats()["lines"]["cash"]["calls"]
    tell(asset())
    assert held() == (5, 500), held()
    assert attack.lines.stats()["lines"]["cash"]["calls"] == calls, "a payload was pulled as well"
    tell(asset(version=4, amount=9))
    tell(asset(version=5, amount=9))
    assert held() == (5, 500), "an older or equal version replaced the newer one"
    tell(asset(version=6, amount="600"), asset(version=7, amount=700), asset(version=6, amount=1))
    assert held() == (7, 700), held()
    # Payloads of another unit, scale or kind fall back to a pull; the good value stays.
    for lie in ({"unit": "USD"}, {"scale": 0}, {"kind": "coin"}):
        client.call("notify.assets", line="cash", assets=[asset(version=8, amount=1, **lie)])
        harness.until(lambda: attack.wallet.queue()["entries"] == 0, 20, "the payload has ended")
        assert held() == (7, 700), (lie, held())
    for broken, words in (({"amount": 1.5}, "amount"), ({"amount": "1.5"}, "amount"),
                          ({"amount": "99999999999999999999"}, "amount"), ({"uid": 0}, "uid"),
                          ({"amount": 2**63}, "amount"), ({"version": 0}, "version"),
                          ({"version": 2**63}, "version"), ({"kind": "money"}, "kind"),
                          ({"state": "lost"}, "state"), ({"scale": 10}, "scale"),
                          ({"line": "coin"}, "line"), ({"bucket": "b" * 17}, "bucket"),
                          ({"unit": "u" * 13}, "unit"), ({"extra": b"\xc1"}, "extra"),
                          ({"extra": {"x": "y" * 600}}, "extra"), ({"uid": None}, "uid")):
        lie = asset(**{"version": 9, **broken})
        attack.refused(client, request("notify.assets", {"line": "cash", "assets": [lie]}),
                       "bad_request", words)
    for args, code, words in (({"line": "cash", "assets": []}, "bad_request", "empty"),
                              ({"line": "cash", "assets": [asset()] * 201}, "bad_request",
                               "assets"),
                              ({"line": "cash", "assets": 5}, "bad_request", "assets"),
                              ({"line": "nosuch", "assets": [asset()]}, "not_found", "nosuch")):
        attack.refused(client, request("notify.assets", args), code, words)
    assert held() == (7, 700), held()
    tell(asset(version=20, amount=0, state="gone"))
    assert held() is None, "a tombstone did not take the asset away"
    tell(asset(version=19, amount=1))
    assert held() is None, "an older version came back after the tombstone"
    attack.over("payloads")


def main():
    attack = Attack()
    waiting = []
    for endpoint in (attack.wallet.read, attack.wallet.write, attack.wallet.pub):
        for part in range(10):
            peer = connect(endpoint)
            peer.sendall(GREETING[:part * 7])
            waiting.append(peer)
    for attempt in range(2):  # what was not freed in the first round shows in the second
        for step in (bodies, envelopes, arguments, framings, vanishing, silent, noise):
            step(attack)
        if attempt == 0:
            attack.measure_from_here(GROWTH_MB_MAX)
    for step in (notifications, never_reached, publications, payloads):
        step(attack)
    raw_tcp(attack, waiting)
    attack.wallet.stop()
    attack.lines.stop()
    harness.passed("hostile", attacks=attack.attacks, errors=attack.counts["rpc_errors"],
                   grown_mb=round(attack.rss_most - attack.rss, 1))


if __name__ == "__main__":
    sys.exit(main())
