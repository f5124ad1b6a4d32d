"""Half of all slots moves from one MariaDB shard to a new one while 2,000 changes a second come in and
readers read: no read fails, nothing acknowledged is lost, no version goes back, and nobody waits for
a write for a second. Then the way back, then once more with the writers killed at random moments, and
the end, after which the old shard has nothing of them and reconciliation finds nothing.

WALLET_TEST_USERS, WALLET_TEST_RATE and WALLET_TEST_KILLS make it larger."""
import json
import os
import random
import subprocess
import sys
import threading
import time

import harness

USERS = int(os.environ.get("WALLET_TEST_USERS", 8000))
RATE = int(os.environ.get("WALLET_TEST_RATE", 2000))
KILLS = int(os.environ.get("WALLET_TEST_KILLS", 4))
FIRST, LAST = 2048, 4095
LINES = {"cash": "kind=cash,unit=CNY,scale=2,http", "coin": "kind=coin,unit=bean,scale=0,zmq"}


def mix64(x):
    mask = (1 << 64) - 1
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & mask
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & mask
    return x ^ (x >> 31)


def moves(uid):
    return FIRST <= mix64(uid) >> 52 <= LAST


class World:
    """Two writers, two readers (one with copies in Redis, one with a few in memory), two MariaDB
    shards of which the second is empty and new."""

    def __init__(self):
        self.backends = harness.Backends(shards=2).start()
        tiers = [f"tcp://127.0.0.1:{harness.free_port(2)}" for _ in range(2)]
        usual = {**self.backends.settings(), "queue.partitions": 2, "shard.map": "0-4095:0",
                 "reconcile.at": "", "reconcile.rolling_s": 0, "keeper.lease_ms": 3000}
        none = {"lines": {}}, {"golden": [], "sections": []}
        self.writers = [harness.Wallet(*none, kind="release", **{
            **usual, "server.role": "writer", "server.name": f"writer{i}",
            "tier.endpoint": tiers[i]}) for i in range(2)]
        reader = {**usual, "server.role": "reader", "tier.writers": ",".join(tiers)}
        self.readers = [harness.Wallet(*none, kind="release", **reader),
                        harness.Wallet(*none, kind="release", **{
                            **reader, "cache.store": "memory", "cache.bytes_max": "1M"})]
        self.lines = harness.LineSim(None, LINES, USERS, kind="release", owners=0, seed=17,
                                     rate=0, mode="req", keep=True,
                                     journal=harness.folder() / "journal",
                                     writer=",".join(w.write for w in self.writers),
                                     pub=",".join(w.pub for w in self.writers))
        config = {"cash": harness.line_config("cash", self.lines.urls["cash"]),
                  "coin": harness.line_config("coin", self.lines.urls["coin"], "bean", 0)}
        for line in config.values():
            line.update(retry_base_ms=50, retry_max_ms=500, attempts_max=100)
        for wallet in [*self.writers, *self.readers]:
            wallet.put("integration", {"lines": config})
            wallet.put("presentation", harness.pages(config))
            wallet.start(wait=60)
        self.lines.start()

    def number(self, shard, sql):
        done = self.backends.shards[shard].sql(f"USE wallet_{shard}; {sql}")
        return int(done.split()[-1])

    def rows(self, shard):
        """Records of slots that move, and of others."""
        count = "SELECT coalesce(sum(slot BETWEEN {} AND {}), 0) FROM asset".format(FIRST, LAST)
        inside = self.number(shard, count)
        return inside, self.number(shard, "SELECT count(*) FROM asset") - inside

    def ctl(self, *words, code=0):
        """Asks the first writer that answers."""
        for turn in range(40):
            wallet = self.writers[turn % 2]
            done = subprocess.run([harness.programs("release") / "walletctl", "-w", wallet.write,
                                   "--json", "shards", *words], capture_output=True, text=True,
                                  timeout=120)
            if done.returncode != 5:  # nobody there
                break
            time.sleep(0.25)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout else {}

    def move(self):
        """The newest."""
        return self.ctl("status")["moves"][0]

    def until_state(self, *states, seconds=180):
        def reached():
            move = self.move()
            return move["state"] in states and move
        return harness.until(reached, seconds, f"the move is {states}", step=0.1)

    def quiet(self, stop=True):
        if stop:
            self.lines.burst(0)
        harness.until(lambda: self.lines.stats()["idle"], 90, "linesim has its acknowledgements")
        for wallet in self.writers:
            wallet.wait_quiet(90)


class Probe(threading.Thread):
    """Changes one user after the other and waits until each is shown: the longest wait is what a
    write has to wait for at most."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.ended, self.longest_ms, self.changes = world, False, 0.0, 0
        self.longest_at = 0.0
        self.uids = [uid for uid in range(1, USERS + 1) if moves(uid)]
        self.start()

    def run(self):
        writer, reader = self.world.writers[0].writer(), self.world.readers[0].reader()
        while not self.ended:
            uid = random.choice(self.uids)
            version = int(self.world.lines.change("cash", uid))
            begun = time.monotonic()
            harness.again(lambda: writer.call("notify.changed", line="cash",
                                              changes=[{"uid": uid}]))
            while not self.ended:
                held = {a["line"]: a["version"] or 0
                        for a in reader.call("wallet.assets", uid=uid)["assets"]}
                if held.get("cash", 0) >= version:
                    break
                time.sleep(0.002)
            took = (time.monotonic() - begun) * 1000
            if took > self.longest_ms:
                self.longest_ms, self.longest_at = took, time.time()
            self.changes += 1
            time.sleep(0.005)

    def stop(self):
        self.ended = True
        self.join(20)
        return round(self.longest_ms)


def moved_under_load(world, words, state):
    """One change of the map under changes and reads; returns what was measured."""
    watches = [harness.Watching(wallet.read, USERS) for wallet in world.readers]
    world.lines.burst(10 ** 8, "req", RATE)
    probe = Probe(world)
    time.sleep(2)
    before = world.lines.stats()
    begun = time.monotonic()
    world.ctl(*words)
    move = world.until_state(state)
    seconds = time.monotonic() - begun
    time.sleep(2)
    after = world.lines.stats()
    longest = probe.stop()
    world.quiet()
    reads = 0
    for watch in watches:
        found = harness.judge(watch.stop())
        assert not found["errors"] and found["no_answer"] == 0, found
        reads += found["reads"]
    return {"move": move, "seconds": round(seconds, 1), "reads": reads, "write_waited_ms": longest,
            "before": before, "after": after}


def nothing_lost(world):
    for wallet in world.readers:
        lost, changes = harness.lost_changes(world.lines.journal, world.lines, USERS, wallet)
        assert not lost, (len(lost), lost[:5])
    return changes


def test_forth(world):
    inside, outside = world.rows(0)
    assert inside > USERS * 0.8 and outside > USERS * 0.8 and world.rows(1) == (0, 0), inside
    found = moved_under_load(world, ["move", "--slots", f"{FIRST}-{LAST}", "--to", "1", "--yes",
                                     "--no-wait"], "following")
    move = found["move"]
    assert 0 < int(move["pause_ms"]) < 1000, move
    assert int(move["users"]) > USERS * 0.4 and int(move["mended"]) == 0, move
    changes = nothing_lost(world)
    assert world.rows(1)[0] >= inside and world.rows(1)[1] == 0, (world.rows(1), inside)
    digest = ("SELECT coalesce(sum(crc32(concat_ws(',', uid, line, bucket, version, amount, state,"
              f" pulled_at))), 0) FROM asset WHERE slot BETWEEN {FIRST} AND {LAST}")
    harness.until(lambda: world.number(0, digest) == world.number(1, digest), 20,
                  "the way back has every change")
    assert world.number(1, "SELECT commit_seq FROM meta") > 0
    for wallet in world.writers + world.readers:
        assert wallet.process.poll() is None
    harness.passed("move", users=USERS, seconds=found["seconds"], reads=found["reads"],
                   acknowledged=changes, pause_ms=move["pause_ms"],
                   write_waited_ms=found["write_waited_ms"], followed=move["followed"])


def test_back(world):
    found = moved_under_load(world, ["back", "--yes", "--no-wait"], "undone")
    nothing_lost(world)
    assert world.rows(1) == (0, 0), world.rows(1)
    assert world.rows(0)[0] > USERS * 0.8
    assert world.number(0, "SELECT logged FROM slot_map") == 0
    harness.passed("move_back", reads=found["reads"], pause_ms=found["move"]["pause_ms"],
                   write_waited_ms=found["write_waited_ms"])


def test_killed(world):
    """Whoever dies, the other one goes on; readers are asked through all of it."""
    watches = [harness.Watching(wallet.read, USERS) for wallet in world.readers]
    world.lines.burst(10 ** 8, "req", RATE // 2)
    world.ctl("move", "--slots", f"{FIRST}-{LAST}", "--to", "1", "--yes", "--no-wait", "--rate",
              str(USERS // 4))
    kills = 0
    while kills < KILLS and world.move()["state"] != "following":
        time.sleep(random.random() * 2)
        victim = random.choice(world.writers)
        victim.kill()
        time.sleep(random.random())
        victim.start(wait=60)
        kills += 1
    world.until_state("following")
    assert kills > 0, "too fast to be killed"
    time.sleep(1)
    world.quiet()
    for watch in watches:
        found = harness.judge(watch.stop())
        assert found["no_answer"] == 0, found
    nothing_lost(world)
    return kills


def test_finish(world):
    world.ctl("finish", "--yes", "--no-wait")
    world.until_state("done")
    assert world.rows(0)[0] == 0 and world.rows(1)[1] == 0, (world.rows(0), world.rows(1))
    nothing_lost(world)
    assert world.number(1, "SELECT logged FROM slot_map") == 0
    status = world.ctl("status")
    assert {s["shard"]: int(s["slots"]) for s in status["shards"]} == {0: 2048, 1: 2048}, status
    # who begins now, with the old map in its settings, finds everybody
    fresh = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                           **{k: v for k, v in world.readers[1].settings.items()
                              if not k.startswith(("server.data", "server.config", "frontend",
                                                   "intake"))})
    fresh.put("integration", json.loads((sorted(world.readers[1].config.glob("integration-*"))[-1])
                                        .read_text()))
    fresh.put("presentation", json.loads((sorted(world.readers[1].config.glob("presentation-*"))[-1])
                                         .read_text()))
    fresh.start(wait=60)
    lost, _ = harness.lost_changes(world.lines.journal, world.lines, USERS, fresh)
    assert not lost, (len(lost), lost[:5])
    fresh.stop()


def test_refused(world):
    """Wrong ways to ask, each with a message that helps."""
    def refused(code, *words):
        wallet = world.writers[0]
        done = subprocess.run([harness.programs("release") / "walletctl", "-w", wallet.write,
                               "shards", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        assert done.stderr.strip(), words
        return done.stderr
    assert "slots" in refused(2, "move", "--to", "1", "--yes")
    assert "4095" in refused(2, "move", "--slots", "5-4096", "--to", "1", "--yes")
    assert "shard 7" in refused(1, "move", "--slots", "0-5", "--to", "7", "--yes")
    assert "shard 0" in refused(4, "move", "--slots", "0-5", "--to", "0", "--yes")
    several = refused(4, "move", "--slots", "2000-2100", "--to", "1", "--yes")
    assert "shard" in several, several
    refused(3, "back", "--yes")
    refused(3, "finish", "--yes")


def main():
    world = World()
    world.lines.burst(USERS * 5, "req", 0)
    world.quiet(stop=False)
    test_forth(world)
    test_back(world)
    kills = test_killed(world)
    time.sleep(10)  # the way back is kept at least so long
    test_finish(world)
    test_refused(world)
    for wallet in [*world.readers, *world.writers]:
        wallet.stop()
    world.lines.stop()
    world.backends.kill()
    harness.passed("move_killed", kills=kills)


if __name__ == "__main__":
    sys.exit(main())
