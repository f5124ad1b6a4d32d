"""Editors race on one configuration while processes are killed, the store is emptied and a mirror's
file is cut in half: every change that was acknowledged stands in the history under its number, the
history is one chain without a gap, all processes end with the same head, and no reader ever sees
half of a change."""
import json
import os
import pathlib
import random
import sys
import threading
import time

import harness
import stores

SECONDS = int(os.environ.get("WALLET_TEST_SECONDS", 15))
PROCESSES = 4
EDITORS = 8
KILLS_PER_S = 100 / 60


def documents(marker):
    """Both change together: the second slot shows the title of its line."""
    lines = {"cash": {**harness.line_config("cash", "http://127.0.0.1:9")},
             "coin": {**harness.line_config("coin", "http://127.0.0.1:9", unit="bean", scale=0),
                      "title": marker}}
    pages = harness.pages(lines)
    pages["golden"] = [{"line": "cash", "title": marker}, {"line": "coin"}]
    return {"version": 1, "lines": lines}, {"version": 1, **pages}


class Editor(threading.Thread):
    """Publishes again and again from what it has just seen; whoever is refused looks again."""

    def __init__(self, number, wallets, stop):
        super().__init__(daemon=True)
        self.number, self.wallets, self.stopped = number, wallets, stop
        self.acknowledged, self.unsure, self.conflicts, self.refused = {}, set(), 0, {}

    def run(self):
        pick = random.Random(self.number)
        turn = 0
        while not self.stopped.is_set():
            turn += 1
            client = pick.choice(self.wallets).writer()
            marker = f"e{self.number}-{turn}"
            try:
                self.publish(client, marker)
            except TimeoutError:
                self.unsure.add(marker)
            except harness.Error as error:
                if error.code == "deadline":
                    self.unsure.add(marker)
                elif error.code == "conflict":
                    self.conflicts += 1
                else:
                    self.refused[str(error)] = self.refused.get(str(error), 0) + 1
            finally:
                client.close()
            time.sleep(pick.uniform(0, 0.05))

    def publish(self, client, marker):
        base = client.call("admin.config.status", timeout=2)["seq"]
        integration, presentation = documents(marker)
        done = client.call("admin.config.put", timeout=4, base=base, author=f"editor{self.number}",
                           reason=marker, integration=json.dumps(integration),
                           presentation=json.dumps(presentation))
        self.acknowledged[done["seq"]] = marker


class Reader(threading.Thread):
    """Both slots always show the same change, and changes only go on."""

    def __init__(self, wallets, stop):
        super().__init__(daemon=True)
        self.wallets, self.stopped = wallets, stop
        self.reads, self.halves = 0, []

    def run(self):
        while not self.stopped.is_set():
            for wallet in self.wallets:
                client = wallet.reader()
                try:
                    golden = client.call("wallet.golden", timeout=0.5, uid=7)["golden"]
                    titles = golden[0]["title"], golden[1]["title"]
                    self.reads += 1
                    if titles[0] != titles[1]:
                        self.halves.append(titles)
                except (TimeoutError, harness.Error):
                    pass
                finally:
                    client.close()


def history(client):
    """All of it, the newest first."""
    found, before = [], None
    while True:
        more = {} if before is None else {"before": before}
        page = client.call("admin.config.history", limit=100, verify=True, **more)
        assert page["verified"] is True, page
        found += page["changes"]
        if not page["more"]:
            return found
        before = found[-1]["seq"]


def kill_some(wallets, seconds):
    """One process after the other; each is back at once."""
    pick = random.Random(3)
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        begun = time.monotonic()
        victim = pick.choice(wallets)
        victim.kill()
        victim.start(wait=None)
        kills += 1
        time.sleep(max(0.0, 1 / KILLS_PER_S - (time.monotonic() - begun)))
    return kills


def cut(mirror):
    """The newest file of the mirror loses its second half."""
    files = sorted(pathlib.Path(mirror, "changes").glob("*.json"))
    assert files, "the mirror is empty"
    text = files[-1].read_bytes()
    files[-1].write_bytes(text[:len(text) // 2])
    return files[-1], text


def healed(wallets):
    """All processes have the same head, everything they use is well, and nobody is behind."""
    heads = set()
    for wallet in wallets:
        client = wallet.writer()
        try:
            status = client.call("admin.config.status", timeout=2)
        except (TimeoutError, harness.Error):
            return False
        finally:
            client.close()
        if status["problems"] or {log["seq"] for log in status["logs"]} != {status["seq"]}:
            return False
        heads.add((status["seq"], status["live_seq"], status["version"], status["source"]))
    return len(heads) == 1


def main():
    redis = stores.Redis(harness.folder() / "redis").start()
    mirror = harness.folder() / "mirror"
    integration, presentation = documents("first")
    wallets = [harness.Wallet(integration, presentation, kind="release", config__store="redis",
                              config__redis=redis.at, config__mirror_dir=mirror,
                              server__name=f"node{i}") for i in range(PROCESSES)]
    for wallet in wallets:
        wallet.start()
    stop = threading.Event()
    editors = [Editor(i, wallets, stop) for i in range(EDITORS)]
    reader = Reader(wallets, stop)
    for thread in [*editors, reader]:
        thread.start()
    kills = kill_some(wallets, SECONDS / 3)
    redis.command("FLUSHALL")
    kills += kill_some(wallets, SECONDS / 3)
    damaged, whole = cut(mirror)
    kills += kill_some(wallets, SECONDS / 3)
    redis.command("FLUSHALL")
    stop.set()
    for thread in [*editors, reader]:
        thread.join(20)
        assert not thread.is_alive(), "an editor or reader hangs"
    for wallet in wallets:
        wallet.wait_ready()
    harness.until(lambda: healed(wallets), 30, f"all is healed: {wallets[0].tail()}")
    client = wallets[0].reader()
    seq = client.call("sys.info")["config_seq"]
    client.close()
    harness.until(lambda: damaged.read_bytes() == whole, 30 + seq / 10,  # 32 are read each 2 s
                  "the mirror's file is put back as it was")
    assert not reader.halves, f"half of a change was seen: {reader.halves[:5]}"
    assert reader.reads > 100 * SECONDS / 10, reader.reads
    chains = []
    for wallet in wallets:
        client = wallet.writer()
        chains.append(history(client))
        client.close()
    assert all(chain == chains[0] for chain in chains), "histories differ"
    changes = {change["seq"]: change for change in chains[0]}
    assert sorted(changes) == list(range(1, len(changes) + 1)), "the history has a gap"
    acknowledged = {}
    for editor in editors:
        for seq, marker in editor.acknowledged.items():
            assert seq not in acknowledged, f"change {seq} was acknowledged twice"
            acknowledged[seq] = marker
    for seq, marker in acknowledged.items():
        assert changes[seq]["reason"] == marker, f"change {seq} is {changes[seq]}, not {marker}"
    unsure = set().union(*(editor.unsure for editor in editors))
    others = {change["reason"] for seq, change in changes.items()
              if seq not in acknowledged and change["action"] != "import"}
    assert others <= unsure, f"changes that nobody has published: {others - unsure}"
    versions = [int(changes[seq]["after"].split(".")[1]) for seq in sorted(changes)]
    assert versions == sorted(set(versions)), "a number of a document was given twice"
    assert len(acknowledged) > SECONDS / 2, (len(acknowledged), [e.refused for e in editors])
    for wallet in wallets:
        wallet.stop()
    redis.kill()
    harness.passed("config_storm", seconds=SECONDS, kills=kills, acknowledged=len(acknowledged),
                   unsure=len(unsure), live_of_unsure=len(others),
                   conflicts=sum(editor.conflicts for editor in editors), reads=reader.reads)


if __name__ == "__main__":
    sys.exit(main())
