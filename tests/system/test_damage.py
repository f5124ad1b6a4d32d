"""Damaged files, a full disk, SIGTERM in the middle of work, restarts: nothing that was
acknowledged is lost, nothing that is damaged is believed or overwritten, and no user with assets is
ever absent."""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

import harness

USERS = 600
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}
MANY = {"presence__instances": 3, "cache__instances": 3, "query__instances": 2,
        "puller__instances": 3, "shard__instances": 4}
skipped = []


class Site:
    """A walletd and the lines behind it."""

    def __init__(self, owners=1.0, users=USERS, data_dir=None, line=None, **settings):
        self.users = users
        self.wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, **settings)
        if data_dir:
            self.wallet.settings["server.data_dir"] = data_dir
        self.data = pathlib.Path(self.wallet.settings["server.data_dir"])
        self.lines = harness.LineSim(self.wallet, LINES, users, kind="release", owners=owners,
                                     seed=4)
        config = {
            "cash": harness.line_config("cash", self.lines.urls["cash"]),
            "coin": harness.line_config("coin", self.lines.urls["coin"], unit="bean", scale=0),
        }
        for each in config.values():
            each.update(retry_base_ms=50, retry_max_ms=300, attempts_max=500, breaker_open_ms=200,
                        **(line or {}))
        self.wallet.put("integration", {"lines": config})
        self.wallet.put("presentation", harness.pages(config))
        self.wallet.start()
        self.lines.start()

    def fill(self):
        """Every user's truth is pulled."""
        writer = self.wallet.writer()
        for line in LINES:
            for first in range(1, self.users + 1, 1000):
                uids = range(first, min(first + 1000, self.users + 1))
                writer.call("notify.changed", line=line, changes=[{"uid": uid} for uid in uids])
        writer.close()
        self.wallet.wait_quiet(60)
        return self

    def differences(self, endpoint=None, allowed_errors=()):
        """What the reads of all users say that the truth does not; (differences, refused reads)."""
        truth = self.lines.truth()
        reader = harness.Client(endpoint or self.wallet.read)
        wrong, refused = [], 0
        for first in range(1, self.users + 1, 200):
            uids = list(range(first, min(first + 200, self.users + 1)))
            want = {uid: {line: truth[line, uid, ""] for line in LINES
                          if truth.get((line, uid, ""), {"state": "gone"})["state"] != "gone"}
                    for uid in uids}
            for uid, has in zip(uids, reader.call("wallet.has_assets", uids=uids)["has"]):
                if want[uid] and not has:
                    wrong.append((uid, "has_assets says no", want[uid]))
            asked = {reader.send("wallet.assets", uid=uid, deadline_ms=10000): uid for uid in uids}
            for _ in asked:
                msgid, error, result = reader.receive(20)
                uid = asked[msgid]
                if error:
                    assert error["code"] in allowed_errors, error
                    refused += 1
                    continue
                got = {asset["line"]: (asset["version"], asset["amount"])
                       for asset in result["assets"]}
                expected = {line: (int(asset["version"]), int(asset["amount"]))
                            for line, asset in want[uid].items()}
                if got != expected:
                    wrong.append((uid, got, expected))
        reader.close()
        return wrong, refused

    def right(self, what, endpoint=None):
        wrong, _ = self.differences(endpoint)
        assert not wrong, f"{what}: {len(wrong)} differences: {wrong[:3]}\n{self.wallet.tail(10)}"

    def presence_ready(self):
        writer = self.wallet.writer()
        harness.until(lambda: writer.call("admin.presence.stats")["ready"], 20, "presence is ready")
        writer.close()

    def backup(self):
        """Copies of the database files: {name: path}."""
        target = harness.folder()
        return {path.name: shutil.copy(path, target / path.name)
                for path in self.data.glob("assets-*.db")}

    def end(self):
        self.wallet.stop()
        self.lines.stop()
        log = self.wallet.log.read_text(errors="replace")
        assert "ERROR: " not in log and "runtime error" not in log, self.wallet.tail()


# ---- ways to damage a file ----
def truncated(path):
    os.truncate(path, path.stat().st_size // 2)


def one_byte_less(path):
    os.truncate(path, path.stat().st_size - 1)


def emptied(path):
    os.truncate(path, 0)


def garbage(path):
    path.write_bytes(random.Random(1).randbytes(max(4096, path.stat().st_size)))


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 0x10
    path.write_bytes(content)


def first_bit(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 0x01
    path.write_bytes(content)


def a_folder(path):
    path.unlink()
    path.mkdir()


def damaged_snapshots():
    site = Site(owners=0.5).fill()
    site.right("before any damage")
    site.wallet.stop()
    snapshot = next(site.data.glob("presence-*.snap"))
    good = snapshot.read_bytes()
    assert len(good) > 100, "there is nothing to damage"
    for damage in (truncated, one_byte_less, emptied, garbage, one_bit, first_bit, a_folder):
        damage(snapshot)
        site.wallet.start()
        site.presence_ready()
        site.right(f"with a snapshot that is {damage.__name__}")
        harness.until(lambda: site.wallet.counter("presence_damaged") == 1, 5,
                      f"a snapshot that is {damage.__name__} was counted")
        assert "snapshot_damaged" in site.wallet.log.read_text(), site.wallet.tail()
        site.wallet.stop()
        if snapshot.is_dir():
            snapshot.rmdir()
        snapshot.write_bytes(good)
    # The snapshot of a newer database than the one that is there: nobody is lost.
    stored = site.backup()
    site.wallet.start()
    site.lines.burst(800)
    harness.until(lambda: site.lines.stats()["idle"], 20, "the lines have told their changes")
    site.wallet.wait_quiet(30)
    site.wallet.stop()
    for name in stored:
        shutil.copy(stored[name], site.data / name)
    site.wallet.start()
    site.fill()
    site.wallet.kill()
    site.wallet.start()
    site.presence_ready()
    site.right("with a database from a backup")
    site.end()


def refused_start(site, path, what):
    """walletd ends by itself with 1, names the file, and leaves it as it is."""
    before = path.read_bytes() if path.is_file() else None
    site.wallet.log.write_bytes(b"")
    site.wallet.start(wait=None)
    code = site.wallet.process.wait(15)
    log = site.wallet.log.read_text(errors="replace")
    assert code == 1, f"{what}: walletd ended with {code}\n{log[-3000:]}"
    assert "start_failed" in log and path.name in log, f"{what} is not explained: {log[-2000:]}"
    assert "Sanitizer" not in log and "runtime error" not in log, log
    assert before is None or path.read_bytes() == before, f"{what}: the file was changed"


def damaged_databases():
    site = Site(users=3000).fill()
    site.wallet.stop()
    for name in ("assets-0.db", "assets-1.db", "queue.db"):
        path = site.data / name
        good = path.read_bytes()
        for damage in (garbage, truncated, first_bit, a_folder):
            damage(path)
            refused_start(site, path, f"{name}, {damage.__name__}")
            if path.is_dir():
                path.rmdir()
            path.write_bytes(good)
        if name.startswith("assets"):  # a shard's file in another shard's place
            other = "assets-1.db" if "0" in name else "assets-0.db"
            path.write_bytes((site.data / other).read_bytes())
            refused_start(site, path, f"{name} is another shard's")
        path.write_bytes((site.data / "queue.db").read_bytes() if name != "queue.db"
                         else (site.data / "assets-0.db").read_bytes())
        refused_start(site, path, f"{name} is another kind of file")
        path.write_bytes(good)
    # Pages in the middle: what can still be read is right, the rest is an error and never a zero.
    path = site.data / "assets-1.db"
    good = path.read_bytes()
    pages = len(good) // 4096
    assert pages > 40, pages
    broken = bytearray(good)
    for page in range(pages // 3, pages // 2):
        broken[page * 4096:page * 4096 + 4096] = random.Random(page).randbytes(4096)
    path.write_bytes(broken)
    site.wallet.start()
    wrong, refused = site.differences(allowed_errors=("unavailable", "internal"))
    assert not wrong, f"{len(wrong)} wrong answers from a damaged file: {wrong[:3]}"
    assert refused > 0, "nothing was damaged"
    harness.until(lambda: site.wallet.counter("store_damaged") > 0, 5, "the damage was counted")
    reader = site.wallet.reader()
    assert reader.call("sys.ping")["pong"]
    site.wallet.stop()
    path.write_bytes(good)
    for suffix in ("-wal", "-shm"):
        pathlib.Path(str(path) + suffix).unlink(missing_ok=True)
    site.wallet.start()
    site.fill()
    site.right("after the file came back from a backup")
    site.end()
    return refused


def full_disk():
    mount = harness.folder() / "disk"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "wallet-test", mount],
                      capture_output=True).returncode != 0:
        skipped.append("full_disk")
        print("SKIP full_disk: this system does not let us mount a tmpfs", flush=True)
        return 0
    try:
        return on_full_disk(mount)
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def on_full_disk(mount):
    site = Site(users=200, data_dir=mount / "data").fill()
    writer, reader = site.wallet.writer(), site.wallet.reader()
    site.lines.fault("", "hang")  # nothing leaves the queue any more
    acknowledged, error = 0, None
    while error is None:
        assert acknowledged < 3000000, "4 MB are never full"
        try:
            acknowledged += writer.call("notify.changed", line="cash", changes=[
                {"uid": 1 + (acknowledged + n) % site.users} for n in range(1000)])["accepted"]
        except harness.Error as refusal:
            error = refusal
    assert error.code == "busy" and error.retryable and error.retry_after_ms > 0, error
    assert error.message, error
    # The line heals, but what it says cannot be stored; reads go on as if nothing was.
    site.lines.fault("", "none")
    site.lines.burst(100)
    time.sleep(1.0)
    for uid in range(1, site.users + 1):
        home = reader.call("wallet.home", uid=uid)
        assert home["uid"] == uid
    for _ in range(20):
        assert writer.error("notify.changed", line="cash",
                            changes=[{"uid": uid} for uid in range(1, 201)] * 5).code == "busy"
    refused = site.wallet.counter("intake_refused_disk")
    assert refused > 0, "the refusals were not counted"
    assert site.wallet.process.poll() is None, site.wallet.tail()
    # Space comes back: no restart, and everything that was acknowledged takes effect.
    subprocess.run(["mount", "-o", "remount,size=256m", mount], check=True)

    def accepted():
        try:
            return writer.call("notify.changed", line="coin", changes=[{"uid": 1}])["accepted"]
        except harness.Error as refusal:
            assert refusal.code == "busy", refusal
            return None
    harness.until(accepted, 10, "a change is accepted again")
    harness.until(lambda: site.lines.stats()["idle"], 20, "the lines have told their changes")
    site.wallet.wait_quiet(40)
    site.right("after the disk was full")
    assert site.wallet.queue()["dead"] == 0
    site.end()
    return acknowledged


class Traffic:
    """Reads and notifications until stop(); what was acknowledged is kept."""

    def __init__(self, site):
        self.site, self.going, self.acknowledged = site, True, []
        self.threads = [threading.Thread(target=work) for work in (self.read, self.write)]
        for thread in self.threads:
            thread.start()

    def read(self):
        reader, pick = self.site.wallet.reader(), random.Random(1)
        while self.going:
            reader.send("wallet.home", uid=pick.randint(1, self.site.users))
            if reader.receive(0.5) is None:
                break
        reader.close()

    def write(self):
        writer, pick = self.site.wallet.writer(), random.Random(2)
        while self.going:
            uids = [pick.randint(1, self.site.users) for _ in range(50)]
            try:
                writer.call("notify.changed", timeout=0.5, line=pick.choice(list(LINES)),
                            changes=[{"uid": uid} for uid in uids])
            except (TimeoutError, harness.Error):
                break
            self.acknowledged += uids
        writer.close()

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join()


def endings():
    """SIGTERM in the middle of work, with lines that are slow, hang, or answer."""
    slowest = 0.0
    site = Site(owners=0.5, users=150, line={"timeout_ms": 30000}).fill()
    for fault in ("none", "error", "slow", "hang"):
        site.lines.fault("", fault)
        site.lines.burst(100)
        traffic = Traffic(site)
        time.sleep(0.6)
        seconds = site.wallet.stop()
        slowest = max(slowest, seconds)
        traffic.stop()
        site.lines.fault("", "none")
        assert traffic.acknowledged, "there was no traffic"
        assert seconds < 5.0, f"lines {fault}: SIGTERM took {seconds:.1f} s"
        site.wallet.start()
    harness.until(lambda: site.lines.stats()["idle"], 30, "the lines have told their changes")
    site.wallet.wait_quiet(40)
    site.right("after four ends in the middle of work")
    site.end()
    return slowest


def restarts():
    """Many of every actor; the sets of presence are found again whatever their number was."""
    second = f"tcp://127.0.0.1:{harness.free_port()}"
    third = f"tcp://127.0.0.1:{harness.free_port()}"
    site = Site(owners=0.3, **MANY)
    site.wallet.stop()
    site.wallet.settings["frontend.endpoint"] += f", {second}"
    site.wallet.settings["intake.endpoint"] += f",{third}"
    site.wallet.start()
    site.fill()
    actors = site.wallet.reader().call("sys.info")["actors"]
    assert [actors[kind] for kind in ("frontend", "intake", "presence", "cache", "query", "puller",
                                      "shard")] == [2, 2, 3, 3, 2, 3, 4], actors
    other = harness.Client(third)

    def change():
        site.lines.burst(400)
        for line in LINES:
            assert other.call("notify.changed", line=line, changes=[{"uid": 1}])["accepted"] == 1
        harness.until(lambda: site.lines.stats()["idle"], 20, "the lines have told their changes")
        site.wallet.wait_quiet(30)
    for instances, ending in ((3, "stop"), (3, "kill"), (1, "stop"), (3, "kill"), (2, "kill"),
                              (1, "stop"), (3, "stop")):
        change()
        site.right(f"{instances} presence actors", second)
        site.wallet.stop() if ending == "stop" else site.wallet.kill()
        site.wallet.settings["presence.instances"] = instances
        site.wallet.start()
        site.right(f"at once after a {ending}, {instances} presence actors")
        site.presence_ready()
        site.right(f"after a {ending}, {instances} presence actors", second)
    for mode in ("hashed", "exact"):
        site.wallet.stop()
        site.wallet.settings["presence.mode"] = mode
        site.wallet.start()
        site.presence_ready()
        change()
        site.right(f"presence is {mode}")
    # The number of shards is fixed once there is data: users would be looked for in the wrong file.
    site.wallet.stop()
    site.wallet.settings["shard.instances"] = 2
    site.wallet.log.write_bytes(b"")
    site.wallet.start(wait=None)
    try:
        code = site.wallet.process.wait(10)
        assert code == 1 and "shard" in site.wallet.log.read_text(), site.wallet.tail()
    except subprocess.TimeoutExpired:
        raise AssertionError("walletd serves 4 shards' data with 2 shards")
    site.wallet.settings["shard.instances"] = 4
    site.wallet.start()
    site.right("after a start with another number of shards was refused")
    site.end()


def main():
    only = sys.argv[1:]
    found = {}
    for name, step in (("snapshots", damaged_snapshots), ("unreadable", damaged_databases),
                       ("acked_on_full_disk", full_disk), ("slowest_end_s", endings),
                       ("restarts", restarts)):
        if not only or step.__name__ in only:
            found[name] = step()
    figures = {name: round(value, 1) for name, value in found.items() if value is not None}
    harness.passed("damage", **figures, **({"skipped": ",".join(skipped)} if skipped else {}))


if __name__ == "__main__":
    sys.exit(main())
