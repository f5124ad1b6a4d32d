"""Peers that send without end, or nothing: walletd cuts them off, does not grow, and everybody else is
served as before. Heavy but honest clients are never taken for them."""
import os
import socket
import sys
import threading
import time

import msgpack
import zmq

import harness
import test_hostile as zmtp

GROWTH_MB_MAX = 64
PART = zmtp.frame(b"x" * 60000, more=True)


def rss_mb(wallet):
    with open(f"/proc/{wallet.process.pid}/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmRSS")) / 1024


class Healthy(threading.Thread):
    """A client whose answers and longest wait are known."""

    def __init__(self, wallet):
        super().__init__(daemon=True)
        self.wallet, self.answers, self.longest, self.failed, self.ended = wallet, 0, 0.0, [], False
        self.start()

    def run(self):
        client = harness.Client(self.wallet.read)
        while not self.ended:
            begun = time.monotonic()
            try:
                client.call("wallet.home", uid=1 + self.answers % 100)
            except Exception as error:  # pylint: disable=broad-except
                self.failed.append(error)
            self.longest = max(self.longest, time.monotonic() - begun)
            self.answers += 1
            time.sleep(0.002)
        client.close()


def endless(wallet, endpoint, kind, first=b""):
    """A message of ever more frames. Returns megabytes sent before the end, and how much walletd grew."""
    before = most = rss_mb(wallet)
    peer = zmtp.shake_hands(endpoint, kind=kind)
    sent = 0
    begun = time.monotonic()
    try:
        if first:
            peer.sendall(first)
        while time.monotonic() - begun < 20 and sent < 2000 * 2**20:
            for _ in range(8):
                peer.sendall(PART)
                sent += len(PART)
            most = max(most, rss_mb(wallet))
        raise AssertionError(f"not cut off after {sent >> 20} MB")
    except (ConnectionError, socket.timeout):
        pass
    finally:
        peer.close()
    return sent / 2**20, most - before


def check_endless(wallet):
    healthy = Healthy(wallet)
    time.sleep(1)
    calm = healthy.answers
    rounds = 0
    for _ in range(3):
        for endpoint, kind, first in ((wallet.read, b"DEALER", b""), (wallet.write, b"DEALER", b""),
                                      (wallet.pub, b"PUB", zmtp.frame(b"changed.cash", more=True))):
            sent, grew = endless(wallet, endpoint, kind, first)
            rounds += 1
            print(f"  {endpoint}: cut off after {sent:.0f} MB, grew {grew:.0f} MB", flush=True)
            assert grew < GROWTH_MB_MAX, grew
    harness.until(lambda: wallet.counter("peers_dropped") == rounds, 5, "each one is counted")
    healthy.ended = True
    healthy.join()
    assert not healthy.failed, healthy.failed[:3]
    assert healthy.answers > calm and healthy.longest < 1.0, (healthy.answers, healthy.longest)
    return rounds


def check_together(wallet):
    """Ten at once, slowly, each below what would be noticed at a glance."""
    dropped = wallet.counter("peers_dropped")
    peers = []
    for _ in range(10):
        peers.append(zmtp.shake_hands(wallet.read))
    gone = set()
    begun = time.monotonic()
    while len(gone) < len(peers) and time.monotonic() - begun < 30:
        for number, peer in enumerate(peers):
            try:
                if number not in gone:
                    peer.sendall(PART)
            except OSError:
                gone.add(number)
        time.sleep(0.005)
    assert len(gone) == len(peers), gone
    harness.until(lambda: wallet.counter("peers_dropped") == dropped + 10, 5, "all counted")
    for peer in peers:
        peer.close()


def check_honest(wallet):
    """Many bytes, but they are messages: nobody is cut off."""
    dropped = wallet.counter("peers_dropped")
    # 400 notifications of 1,000 changes each, 20 MB, all under way at once.
    body = {"line": "cash", "changes": [{"uid": 10**15 + i, "bucket": "b" * 16} for i in range(1000)]}
    client = harness.Client(wallet.write)
    waiting = {client.send("notify.changed", **body) for _ in range(400)}
    while waiting:
        reply = client.receive(60)
        assert reply, f"{len(waiting)} answers are missing"
        waiting.discard(reply[0])
    client.close()
    # A burst of publications.
    accepted = wallet.counter("intake_pub_changes")
    pub = zmq.Context.instance().socket(zmq.PUB)
    pub.sndhwm, pub.linger = 200000, 20000
    pub.connect(wallet.pub)
    time.sleep(0.5)
    message = msgpack.packb([2, "notify.changed", [{"line": "cash", "changes": [
        {"uid": 10**15 + i} for i in range(50)]}]])
    for _ in range(20000):
        pub.send_multipart([b"changed.cash", message])
    harness.until(lambda: wallet.counter("intake_pub_changes") >= accepted + 20000 * 50, 60,
                  "all publications arrive", step=0.5)
    pub.close()
    # Reads as fast as they go.
    client = harness.Client(wallet.read)
    filter_of = [f"line-{i:04d}-{'x' * 20}" for i in range(60)]
    for _ in range(40):
        waiting = {client.send("wallet.assets", uid=1, lines=filter_of) for _ in range(500)}
        while waiting:
            reply = client.receive(20)
            assert reply, "an answer is missing"
            waiting.discard(reply[0])
    client.close()
    time.sleep(1.2)
    assert wallet.counter("peers_dropped") == dropped, wallet.tail()
    assert wallet.counter("peers_suspected") > 0, "nobody was looked at: the test shows nothing"


def check_handshakes(wallet):
    """Silence, garbage and half a handshake end soon; connections that idle after one stay."""
    failed = wallet.counter("peers_handshake_failed")
    idle = zmtp.shake_hands(wallet.read)
    waiting = []
    for sent in (b"", zmtp.GREETING[:10], zmtp.GREETING, b"GET / HTTP/1.1\r\n\r\n",
                 zmtp.GREETING.replace(b"NULL", b"ABCD")):
        for endpoint in (wallet.read, wallet.write, wallet.pub):
            peer = zmtp.connect(endpoint)
            peer.sendall(sent)
            waiting.append(peer)
    begun = time.monotonic()
    for peer in waiting:
        peer.settimeout(10)
        try:
            while peer.recv(4096):
                pass
        except ConnectionError:
            pass
        peer.close()
    assert time.monotonic() - begun < 6, time.monotonic() - begun
    harness.until(lambda: wallet.counter("peers_handshake_failed") >= failed + len(waiting), 5,
                  "each one is counted")
    idle.settimeout(0.1)
    try:
        assert idle.recv(1) != b"", "an idle client was cut off"
    except socket.timeout:
        pass
    idle.close()
    return len(waiting)


def main():
    os.environ["ASAN_OPTIONS"] = zmtp.SANITIZER
    lines = {"cash": "kind=cash,unit=CNY,scale=2,http"}
    sim = harness.LineSim(None, lines, 100, seed=5).start()
    config = {"cash": harness.line_config("cash", sim.urls["cash"], "CNY", 2)}
    wallet = harness.Wallet({"lines": config}, harness.pages(config))
    wallet.start()
    warm = harness.Client(wallet.read)
    for uid in range(1, 101):
        warm.call("wallet.home", uid=uid)
    warm.close()
    cut = check_endless(wallet)
    check_together(wallet)
    cut += 10 + check_handshakes(wallet)
    check_honest(wallet)
    harness.until(lambda: wallet.counter("peers") < 5, 10, "connections that end are forgotten")
    wallet.stop()
    sim.stop()
    harness.passed("peers", cut=cut)


if __name__ == "__main__":
    sys.exit(main())
