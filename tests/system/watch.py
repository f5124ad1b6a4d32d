"""Reads random users without a pause and judges every answer: a version that goes back, another
user's wallet, an empty wallet of somebody who owned something before (nothing is ever deleted while
this runs: linesim --keep), an answer later than its deadline. A program of its own, so that it can run
on another host:

    watch.py ENDPOINT USERS WINDOW DEADLINE_MS [KEY SERVER_KEY]

Ends when its standard input closes, and prints one JSON object.
"""
import json
import os
import random
import sys
import threading
import time

import msgpack
import zmq


class Watch:
    def __init__(self, endpoint, users, window, deadline_ms, keys=None, seed=1):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        if keys:
            self.socket.curve_publickey, self.socket.curve_secretkey = keys[:2]
            self.socket.curve_serverkey = keys[2]
        self.socket.connect(endpoint)
        self.pick = random.Random(seed)
        self.users, self.window, self.deadline_ms = users, window, deadline_ms
        self.waiting, self.newest, self.owns = {}, {}, set()
        self.msgid = 0
        self.found = {"reads": 0, "errors": {}, "lost": 0, "regressions": [], "false_none": [],
                      "foreign": 0, "late": 0, "slowest_ms": 0.0, "longest_gap_ms": 0.0,
                      "no_answer": 0}

    def ask(self):
        asked = {uid for uid, _ in self.waiting.values()}
        uid = self.pick.randint(1, self.users)
        while uid in asked:
            uid = self.pick.randint(1, self.users)
        self.msgid += 1
        self.waiting[self.msgid] = uid, time.monotonic()
        self.socket.send_multipart([b"", msgpack.packb(
            [0, self.msgid, "wallet.assets", [{"uid": uid, "deadline_ms": self.deadline_ms}]])])

    def take(self, frames):
        _, msgid, error, result = msgpack.unpackb(frames[-1])
        if msgid not in self.waiting:
            return
        uid, at = self.waiting.pop(msgid)
        found, took = self.found, (time.monotonic() - at) * 1000
        found["reads"] += 1
        found["slowest_ms"] = max(found["slowest_ms"], took)
        found["late"] += took > self.deadline_ms + 250  # this client is no real-time program
        if error:
            found["errors"][error["code"]] = found["errors"].get(error["code"], 0) + 1
            return
        found["foreign"] += result["uid"] != uid
        held = [a for a in result["assets"]  # a line without a record only says what is not known
                if a["freshness"] != "missing" and a["amount"] is not None]
        if held:
            self.owns.add(uid)
        elif uid in self.owns:
            found["false_none"].append([uid, time.time()])
        for asset in held:
            key = uid, asset["line"], asset["bucket"]
            if self.newest.get(key, 0) > asset["version"]:
                found["regressions"].append([*key, self.newest[key], asset["version"],
                                             asset["source"], time.time()])
            self.newest[key] = max(asset["version"], self.newest.get(key, 0))

    def forget_silent(self, now):
        """A request whose answer is long overdue: its connection was lost."""
        for msgid, (_, at) in list(self.waiting.items()):
            if now - at > self.deadline_ms / 1000 + 3:
                del self.waiting[msgid]
                self.found["no_answer"] += 1

    def run(self, ended):
        answered = time.monotonic()
        while not ended.is_set():
            while len(self.waiting) < self.window:
                self.ask()
            if self.socket.poll(100):
                good = self.found["reads"] - sum(self.found["errors"].values())
                while True:
                    try:
                        self.take(self.socket.recv_multipart(zmq.NOBLOCK))
                    except zmq.Again:
                        break
                now = time.monotonic()
                if self.found["reads"] - sum(self.found["errors"].values()) > good:
                    self.found["longest_gap_ms"] = max(self.found["longest_gap_ms"],
                                                       (now - answered) * 1000)
                    answered = now
            self.forget_silent(time.monotonic())
        return self.found


def main():
    endpoint, users, window, deadline_ms = sys.argv[1], *map(int, sys.argv[2:5])
    keys = None
    if len(sys.argv) > 5:
        public, secret = zmq.auth.load_certificate(sys.argv[5])
        keys = public, secret, zmq.auth.load_certificate(sys.argv[6])[0]
    ended = threading.Event()
    threading.Thread(target=lambda: (os.read(0, 1), ended.set()), daemon=True).start()
    watch = Watch(endpoint, users, window, deadline_ms, keys, seed=os.getpid())
    print(json.dumps(watch.run(ended)), flush=True)


if __name__ == "__main__":
    import zmq.auth
    main()
