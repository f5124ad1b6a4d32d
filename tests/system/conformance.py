#!/usr/bin/env python3
"""Sends the request bytes of the vectors in tests/vectors to a walletd and compares the reply bytes,
framed like REQ and like a bare DEALER.

usage: conformance.py READER WRITER FILE...        vectors against endpoints
       conformance.py --setup READER WRITER FILE   gives walletd the data set of dataset.json

A vector's mask lists paths ("3/golden/*/as_of") whose values may differ as long as their type is
the same; everything else is compared byte by byte.
"""
import json
import sys
import time

import msgpack
import zmq

PATIENCE_MS, SILENCE_MS, SETTLE_S = 10000, 300, 60


def unpack(data):
    return msgpack.unpackb(data, strict_map_key=False)


def masked(actual, expected, path):
    """Puts the expected value where the path leads, if it has the type of the actual one."""
    step, rest = path[0], path[1:]
    if not isinstance(actual, (list, dict)) or type(actual) is not type(expected):
        return actual
    if isinstance(actual, list):
        keys = range(min(len(actual), len(expected))) if step == "*" else [int(step)]
        keys = [key for key in keys if key < min(len(actual), len(expected))]
    else:
        keys = [key for key in ([step] if step != "*" else list(actual))
                if key in actual and key in expected]
    for key in keys:
        if rest:
            actual[key] = masked(actual[key], expected[key], rest)
        elif type(actual[key]) is type(expected[key]):
            actual[key] = expected[key]
    return actual


def same(actual, expected, mask):
    """None, or what differs."""
    if actual == expected:
        return None
    if mask:
        try:
            value, wanted = unpack(actual), unpack(expected)
        except ValueError as error:
            return f"cannot be unpacked: {error}"
        texts = any(path.endswith("message") for path in mask)  # of any length
        for path in mask:
            value = masked(value, wanted, path.split("/"))
        again = msgpack.packb(value, use_bin_type=True)
        if again == expected and (texts or len(actual) == len(expected)):
            return None
    try:
        return f"expected {unpack(expected)}\n     got {unpack(actual)}"
    except ValueError:
        return f"expected {expected.hex()}\n     got {actual.hex()}"


class Peer:
    """A socket that keeps its framing; a vector without a reply leaves nothing behind."""

    def __init__(self, endpoint, delimiter):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.head = [b""] if delimiter else []

    def ask(self, body, silence=False):
        self.socket.send_multipart(self.head + [body])
        if not self.socket.poll(SILENCE_MS if silence else PATIENCE_MS):
            return None
        frames = self.socket.recv_multipart()
        assert frames[:-1] == self.head, f"the reply is framed {frames[:-1]}, not {self.head}"
        return frames[-1]

    def call(self, method, args):
        return unpack(self.ask(msgpack.packb([0, 1, method, [args]])))[3]


def check(peer, vector):
    expected = vector["reply"] and bytes.fromhex(vector["reply"])
    actual = peer.ask(bytes.fromhex(vector["request"]), silence=expected is None)
    if expected is None or actual is None:
        return None if actual is expected else f"expected {expected}, got {actual}"
    return same(actual, expected, vector["mask"])


def run(endpoints, path):
    document = json.load(open(path, encoding="utf-8"))
    failed = count = 0
    for delimiter in (True, False):
        peers = {port: Peer(endpoint, delimiter) for port, endpoint in endpoints.items()}
        for vector in document["vectors"]:
            count += 1
            difference = check(peers[vector["port"]], vector)
            if difference:
                failed += 1
                framing = "REQ" if delimiter else "DEALER"
                print(f"{path} {vector['name']} ({framing}): {vector['about']}\n    {difference}")
    print(f"{path}: {count - failed} of {count} hold")
    return failed


def wait_quiet(writer):
    end = time.monotonic() + SETTLE_S
    while True:
        queue = writer.call("admin.queue", {})
        if not any(queue[key] for key in ("entries", "pending", "in_flight", "retries_waiting")):
            return
        assert time.monotonic() < end, f"the values are not stored: {queue}"
        time.sleep(0.02)


def setup(endpoints, path):
    document = json.load(open(path, encoding="utf-8"))
    reader, writer = Peer(endpoints["reader"], True), Peer(endpoints["writer"], True)
    for step in document["setup"]:
        actual = writer.ask(bytes.fromhex(step["request"]))
        assert actual == bytes.fromhex(step["reply"]), actual
        wait_quiet(writer)
    for uid in document["warm"]:  # so that values come from the cache
        reader.call("wallet.home", {"uid": int(uid)})
    return 0


def main(words):
    act, words = (setup, words[1:]) if words[:1] == ["--setup"] else (run, words)
    if len(words) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    endpoints = {"reader": words[0], "writer": words[1]}
    return 1 if sum(act(endpoints, path) for path in words[2:]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
