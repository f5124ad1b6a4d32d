"""walletctl presence rebuild: dead bits of hashed presence go while users are read and changes are
stored; nobody who owns something is ever said to own nothing; the new set is on the disk."""
import json
import os
import subprocess
import threading
import time

import harness

USERS = int(os.environ.get("WALLET_TEST_USERS", 4000))
BORN = 10**9  # uids of users who are born while it rebuilds
LINE = {"kind": "cash", "unit": "CNY", "scale": 2, "url": "http://127.0.0.1:9"}


def ctl(wallet, *words, code=0, text=False):
    done = subprocess.run([harness.programs("release") / "walletctl", "-e", wallet.read, "-w",
                           wallet.write, *([] if text else ["--json"]), "presence", "rebuild",
                           *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if text else json.loads(done.stdout) if done.stdout else {}


def store(writer, uids, version, **more):
    for first in range(0, len(uids), 200):
        harness.again(lambda: writer.call("notify.assets", line="cash", assets=[
            {"uid": uid, "version": version, "amount": 5, "kind": "cash", "unit": "CNY",
             "scale": 2, **more} for uid in uids[first:first + 200]]))


def has(reader, uids):
    found = []
    for first in range(0, len(uids), 1000):
        found += reader.call("wallet.has_assets", uids=uids[first:first + 1000])["has"]
    return found


class Looker(threading.Thread):
    """Stores newcomers, and asks for everybody who is known to own something."""

    def __init__(self, wallet, owners):
        super().__init__()
        self.wallet, self.owners, self.born, self.lies = wallet, list(owners), [], []
        self.rounds, self.ends = 0, threading.Event()

    def run(self):
        writer, reader = self.wallet.writer(), self.wallet.reader()
        while not self.ends.is_set():
            some = [BORN + len(self.born) + i for i in range(20)]
            store(writer, some, 1)
            harness.until(lambda: all(has(reader, some)), 20, "newcomers are known")
            self.born += some
            known = self.owners[self.rounds % 10::10] + self.born
            self.lies += [uid for uid, owns in zip(known, has(reader, known)) if not owns]
            self.rounds += 1
        writer.close()
        reader.close()


def main():
    wallet = harness.Wallet({"lines": {"cash": LINE}}, {}, presence__mode="hashed",
                            presence__snapshot_s=3600).start()
    writer, reader = wallet.writer(), wallet.reader()
    assert ctl(wallet, "--status")["state"] == "none"
    ctl(wallet, "word", code=2)
    error = writer.error("admin.presence.rebuild", action="stop")
    assert error.code == "bad_request", error
    everybody = list(range(1, USERS + 1))
    dead, owners = everybody[::2], everybody[1::2]
    for uids, version, more in (everybody, 1, {}), (dead, 2, {"state": "gone"}):
        for first in range(0, len(uids), 1000):
            store(writer, uids[first:first + 1000], version, **more)
            wallet.wait_quiet(60)
    assert all(has(reader, everybody)), "hashed mode clears nobody"
    looker = Looker(wallet, owners)
    looker.start()
    state = ctl(wallet, "--no-wait")["state"]
    assert state in ("waiting", "reading", "done"), state
    begun = time.monotonic()
    status = ctl(wallet)
    took = time.monotonic() - begun
    looker.ends.set()
    looker.join()
    assert not looker.lies, looker.lies[:10]
    assert looker.rounds > 0
    before, after = status["before"], status["after"]
    assert status["state"] == "done", status
    assert before["members"] >= USERS * 0.99, status
    assert len(owners) * 0.99 <= after["members"] <= len(owners) + len(looker.born) + 40, status
    assert status["dead_bits"] == before["members"] - after["members"], status
    assert after["fp_expected"] < before["fp_expected"], status
    found = has(reader, everybody)
    assert all(found[1::2]) and sum(found[::2]) < USERS / 100, "the dead are known as such"
    words = ctl(wallet, text=True)
    assert "before" in words and "dead bits gone" in words, words
    harness.until(lambda: wallet.counter("presence_snapshots") >= 1, 20, "it is on the disk")
    harness.until(lambda: wallet.counter("presence_rebuilds") >= 2, 20, "both are counted")
    wallet.kill()
    wallet.start()
    reader.close()
    reader = wallet.reader()
    found = has(reader, everybody + looker.born)
    assert all(found[1:USERS:2]) and all(found[USERS:]), "owners after a crash"
    assert sum(found[:USERS:2]) < USERS / 100, "the snapshot is the new set"
    writer.close()
    reader.close()
    wallet.stop()
    harness.passed("presence_rebuild", users=USERS, born=len(looker.born), rounds=looker.rounds,
                   seconds=round(took, 2))


main()
