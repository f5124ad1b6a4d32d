"""20,000 users x 4 lines, 200,000 changes by PUB and by acknowledged REQ, duplicated and reordered,
while lines fail 5 % of their calls and a million reads go on: after quiet every (user, line) equals
the lines' truth, and no reader ever saw a version go back."""
import multiprocessing
import os
import random
import sys
import time

import msgpack
import zmq

import harness

USERS = int(os.environ.get("WALLET_TEST_USERS", 20000))
CHANGES = int(os.environ.get("WALLET_TEST_CHANGES", 200000))
READS = int(os.environ.get("WALLET_TEST_READS", 1000000))
RATE = int(os.environ.get("WALLET_TEST_RATE", 5000))  # changes a second: most reads meet one
READERS, WINDOW = 2, 64
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "withdraw": "kind=activity,unit=CNY,scale=2,http",
    "coupon": "kind=coupon,zmq",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}


def read_forever(endpoint, reads, seed, verdict):
    """Reads random users, `WINDOW` under way; each user is asked again only after its answer, so
    the answers of one user are in order. Puts (reads, errors, regressions) into verdict."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(endpoint)
    pick = random.Random(seed)
    newest, waiting, done, errors, regressions = {}, {}, 0, 0, []

    def ask(msgid):
        uid = pick.randint(1, USERS)
        while uid in waiting.values():
            uid = pick.randint(1, USERS)
        waiting[msgid] = uid
        socket.send_multipart([b"", msgpack.packb([0, msgid, "wallet.assets", [{"uid": uid}]])])

    for msgid in range(WINDOW):
        ask(msgid)
    while done < reads:
        if not socket.poll(10000):
            verdict.put((done, errors, [f"no reply within 10 s, waiting for {len(waiting)}"]))
            return
        _, msgid, error, result = msgpack.unpackb(socket.recv_multipart()[-1])
        uid = waiting.pop(msgid)
        done += 1
        if error:
            errors += 1
        else:
            if result["uid"] != uid:
                regressions.append(f"asked for {uid}, got {result['uid']}")
            for asset in result["assets"]:
                if asset["amount"] is None:  # no record: a change of the line is on its way
                    continue
                key = uid, asset["line"], asset["bucket"]
                if newest.get(key, 0) > asset["version"]:
                    regressions.append(f"{key} went from {newest[key]} to {asset['version']}")
                newest[key] = asset["version"]
        ask(msgid)
    verdict.put((done, errors, regressions[:10]))


def differences(wallet, truth):
    """Compares every user with the truth; returns the differing (line, uid, bucket) keys."""
    reader = wallet.reader()
    expected = {}
    for (line, uid, bucket), asset in truth.items():
        if asset["state"] != "gone":
            expected.setdefault(uid, {})[line, bucket] = asset
    wrong = []
    for first in range(1, USERS + 1, 256):
        uids = range(first, min(first + 256, USERS + 1))
        asked = {reader.send("wallet.assets", uid=uid): uid for uid in uids}
        for _ in asked:
            reply = reader.receive(20)
            assert reply is not None, "no reply within 20 s"
            msgid, error, result = reply
            uid = asked[msgid]
            assert error is None, error
            got = {(a["line"], a["bucket"]): a for a in result["assets"]}
            want = expected.get(uid, {})
            for key in got.keys() | want.keys():
                if not same(got.get(key), want.get(key)):
                    wrong.append((uid, key, got.get(key), want.get(key)))
    reader.close()
    return wrong


def same(got, want):
    return (got is not None and want is not None and got["freshness"] == "fresh"
            and got["version"] == int(want["version"])
            and got["amount"] == int(want.get("amount", 0))
            and got["count"] == int(want.get("count", 0)))


def main():
    real = os.environ.get("WALLET_TEST_BACKEND") == "real"  # Redis and MariaDB, not the embedded
    backends = harness.Backends().start() if real else None
    wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []},
                            kind=os.environ.get("WALLET_TEST_KIND", "sanitized"),
                            **(backends.settings() if real else {}))
    lines = harness.LineSim(wallet, LINES, USERS, kind="release", owners=0, seed=11, rate=0,
                            dup=0.1, reorder=0.1, error_rate=0.05)
    config = {
        "cash": harness.line_config("cash", lines.urls["cash"]),
        "withdraw": harness.line_config("activity", lines.urls["withdraw"]),
        "coupon": harness.line_config("coupon", lines.urls["coupon"], unit=None),
        "coin": harness.line_config("coin", lines.urls["coin"], unit="bean", scale=0),
    }
    for line in config.values():
        line.update(retry_base_ms=50, retry_max_ms=1000, attempts_max=30)
    wallet.put("integration", {"lines": config})
    wallet.put("presentation", harness.pages(config))
    wallet.start()
    lines.start()

    verdict = multiprocessing.Queue()
    readers = [multiprocessing.Process(target=read_forever, daemon=True,
                                       args=(wallet.read, READS // READERS, seed, verdict))
               for seed in range(READERS)]
    for reader in readers:
        reader.start()
    begun = time.monotonic()
    lines.burst(CHANGES // 2, "req", RATE)
    lines.burst(CHANGES // 2, "pub", RATE)
    harness.until(lambda: lines.stats()["changes"] >= CHANGES and lines.stats()["idle"], 300,
                  "linesim has published everything", step=0.5)
    published = time.monotonic() - begun
    wallet.wait_quiet(180)
    converged = time.monotonic() - begun
    reads = errors = 0
    for _ in readers:
        done, failed, regressions = verdict.get(timeout=600)
        assert not regressions, regressions
        reads, errors = reads + done, errors + failed
    assert errors <= reads * 0.001, f"{errors} of {reads} reads failed"

    truth = lines.truth()
    wrong = differences(wallet, truth)
    assert not wrong, f"{len(wrong)} differences of {len(truth)}: {wrong[:5]}"
    assert len(truth) > USERS, "the test changed too little to mean anything"
    assert wallet.counter("intake_pub_changes") > 0
    dead = wallet.queue()["dead"]
    assert dead == 0, f"{dead} dead letters"
    merged = wallet.counter("queue_merged")
    wallet.stop()
    lines.stop()
    if real:
        backends.kill()
    harness.passed("convergence", backend="real" if real else "embedded", pairs=len(truth), reads=reads, read_errors=errors,
                   merged=merged, published_s=round(published, 1), converged_s=round(converged, 1))


if __name__ == "__main__":
    sys.exit(main())
