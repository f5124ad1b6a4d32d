"""One wallet in two processes: what writes and reads the databases runs in one, everything else in
the other, over tcp. Everything that lines say arrives; the other host may vanish and come back, and
an absent host costs neither a wrong answer nor a slow one."""
import sys
import time

import harness
import test_convergence

USERS = 3000
CHANGES = 12000
test_convergence.USERS = USERS
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}


def endpoint():
    return f"tcp://127.0.0.1:{harness.free_port()}"


def pair():
    """Two free ports in a row, as two instances of one kind take them."""
    return f"tcp://127.0.0.1:{harness.free_port(2)}"


def main():
    shard, fetcher, presence, query = pair(), pair(), endpoint(), endpoint()
    near = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, dispatcher__lost_ms=1500,
                          presence__snapshot_s=1)
    far = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, server__role="writer")
    near.settings.update({
        "topology.remote": f"shard={shard}, fetcher={fetcher}",
        "topology.listen": f"presence={presence} query={query}",
    })
    nowhere = "tcp://127.0.0.1:9"  # shards and fetchers say nothing to these
    far.settings.update({
        "server.config_dir": near.config,
        "topology.listen": f"shard={shard}, fetcher={fetcher}",
        "topology.remote": f"presence={presence},query={query},cache={nowhere},puller={nowhere},"
                           f"dispatcher={nowhere},intake={nowhere}",
    })
    lines = harness.LineSim(near, LINES, USERS, kind="release", owners=0, seed=4, rate=0)
    config = {
        "cash": harness.line_config("cash", lines.urls["cash"]),
        "coin": harness.line_config("coin", lines.urls["coin"], unit="bean", scale=0),
    }
    for line in config.values():
        line.update(retry_base_ms=50, retry_max_ms=500, attempts_max=60)
    near.put("integration", {"lines": config})
    near.put("presentation", harness.pages(config))

    def far_start():
        ready = far.log.read_text().count('"code":"ready"') if far.log.exists() else 0
        far.start(wait=None)
        harness.until(lambda: far.log.read_text().count('"code":"ready"') > ready, 20,
                      "the other process is ready")

    def equal(seconds, what):
        near.wait_quiet(seconds)
        truth = lines.truth()
        harness.until(lambda: not test_convergence.differences(near, truth), seconds, what, step=0.5)
        return truth

    near.start()  # nobody is there yet
    lines.start()
    lines.burst(CHANGES // 3)
    far_start()
    harness.until(lambda: lines.stats()["idle"], 60, "linesim is idle")
    truth = equal(60, "everything arrived at the other process and back")
    assert len(truth) > USERS // 2, "the test changed too little to mean anything"
    assert not (near.folder / "data" / "assets-0.db").exists(), "the files are the other process's"

    # It vanishes in the middle of changes and reads.
    watching = harness.Watching(near.read, USERS)
    lines.burst(2 * CHANGES // 3, "req", 2000)
    for _ in range(3):
        time.sleep(1)
        far.kill()
        time.sleep(1)
        far_start()
    harness.until(lambda: lines.stats()["idle"], 60, "linesim is idle")
    truth = equal(60, "everything arrived after all")
    found = watching.stop()
    assert found["regressions"] == [] and found["reads"] > 1000, found

    # What the reader's side keeps in memory is gone: owners and misses come over tcp alone.
    near.stop()
    (near.folder / "data" / "presence-0of1.snap").unlink(missing_ok=True)
    near.start()
    harness.until(lambda: near.writer().call("admin.presence.stats")["ready"], 20, "presence ready")
    equal(20, "everything is read again")

    # While it is away: presence answers, misses fail in time, nothing blocks.
    far.kill()
    reader = near.reader()
    begun = time.monotonic()
    absent = USERS + 1000
    assert reader.call("wallet.golden", uid=absent)["has_assets"] is False
    assert time.monotonic() - begun < 1.0
    far_start()
    equal(20, "it is back")
    near.stop()
    far.stop()
    lines.stop()
    harness.passed("remote", pairs=len(truth), reads=found["reads"])


if __name__ == "__main__":
    sys.exit(main())
