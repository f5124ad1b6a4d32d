"""Twenty processes share one configuration: each applies what is published within a second, tells so,
and a change that one of them cannot use is used by nobody. One that was away learns it when it comes
back; a process that is killed is not waited for."""
import hashlib
import json
import sys
import time

import harness
import stores
import zmq

PROCESSES = 20
CHANGES = 15
WITHIN_S = 1.0
NOTES, CHANNEL = "wallet:{config}:notes", "wallet:{config}:changes"


def documents(title):
    lines = {"cash": harness.line_config("cash", "http://127.0.0.1:9")}
    pages = harness.pages(lines)
    pages["golden"] = [{"line": "cash", "title": title}]
    return {"version": 1, "lines": lines}, {"version": 1, **pages}


def publish(client, title, **more):
    base = client.call("admin.config.status")["seq"]
    return client.call("admin.config.put", base=base, author="ann", reason=title,
                       presentation=json.dumps(documents(title)[1]), **more)


def spread(clients, seq):
    """Seconds until each process works with change `seq`."""
    poller, waiting, took = zmq.Poller(), {}, []
    begun = time.monotonic()
    for client in clients:
        poller.register(client.socket, zmq.POLLIN)
        waiting[client.socket] = client
        client.send("sys.info")
    while waiting:
        ready = poller.poll(5000)
        assert ready, f"{len(waiting)} processes do not answer"
        for socket, _ in ready:
            client = waiting[socket]
            info = client.receive()[2]
            if info["config_seq"] >= seq:
                took.append(time.monotonic() - begun)
                poller.unregister(socket)
                del waiting[socket]
            else:
                assert time.monotonic() - begun < 10, f"{info} after 10 s"
                client.send("sys.info")
    return took


def refuse_as(redis, name, client, title):
    """Another process, which cannot use what is published: what it says is all that we play."""
    def tell(digest):
        note = {"node": name, "host": "elsewhere", "pid": 1, "seq": 0, "version": "", "source": "",
                "problem": "", "at": int(time.time() * 1000),
                "verdict": {"digest": digest, "accepted": False, "why": "lines/cash: too new for me"}}
        redis.command("HSET", NOTES, f"nodes/{name}", "0 " + json.dumps(note))
    tell("")
    base = client.call("admin.config.status")["seq"]
    client.send("admin.config.put", base=base, author="ann", reason=title,
                presentation=json.dumps(documents(title)[1]))
    reply = harness.until(lambda: (lambda r: r if r.startswith("$") and r[1] != "-" else None)(
        redis.command("HGET", NOTES, "proposal")), 5, "a proposal")
    note = reply.split("\r\n", 1)[1].removesuffix("\r\n")  # "<end> <record>"
    tell(hashlib.sha256(note.split(" ", 1)[1].encode()).hexdigest())
    reply = client.receive(5)
    redis.command("HDEL", NOTES, f"nodes/{name}")
    return reply[1], base


def main():
    redis = stores.Redis(harness.folder() / "redis").start()
    integration, presentation = documents("first")
    wallets = [harness.Wallet(integration, presentation, kind="release", config__store="redis",
                              config__redis=redis.at, server__name=f"node{i:02}")
               for i in range(PROCESSES)]
    for wallet in wallets:
        wallet.start(wait=None)
    for wallet in wallets:
        wallet.wait_ready(60)
    clients = [wallet.reader() for wallet in wallets]
    first = wallets[0].writer()
    harness.until(lambda: len(first.call("admin.config.status")["nodes"]) == PROCESSES, 10,
                  "all processes know of each other")
    took = []
    for turn in range(CHANGES):
        begun = time.monotonic()
        done = publish(wallets[turn % PROCESSES].writer(), f"title {turn}", timeout=10)
        took += spread(clients, done["seq"])
        print(f"change {done['seq']}: published in {time.monotonic() - begun:.2f} s", flush=True)
    took.sort()
    p99 = took[int(len(took) * 0.99)]
    assert p99 <= WITHIN_S, f"p99 {p99:.2f} s, slowest {took[-1]:.2f} s"
    nodes = harness.until(lambda: (lambda n: n if {x["seq"] for x in n} == {done["seq"]} else None)(
        first.call("admin.config.status")["nodes"]), 10, "all have acknowledged it")
    assert len(nodes) == PROCESSES and {node["version"] for node in nodes} == {done["version"]}

    error, base = refuse_as(redis, "oldie", first, "nobody sees this")
    assert error["code"] == "bad_request" and "oldie" in error["message"], error
    assert "too new for me" in error["message"], error
    assert first.call("admin.config.status")["seq"] == base, "it was published all the same"

    wallets[7].kill()
    done = publish(first, "without one", timeout=10)  # it is known at once that it has gone
    wallets[7].start()
    late = wallets[7].reader()
    assert late.call("sys.info")["config_seq"] == done["seq"], "it knows at its start"
    for wallet in wallets:
        wallet.stop()
    redis.kill()
    harness.passed("config_spread", processes=PROCESSES, changes=CHANGES,
                   p50_ms=round(took[len(took) // 2] * 1000), p99_ms=round(p99 * 1000))


if __name__ == "__main__":
    sys.exit(main())
