"""Reader, writers and stores on hosts of their own (network namespaces with a cable between each two),
CURVE on every socket. The convergence test holds there; a cable pulled for ten seconds loses nothing
and everything is right again within thirty; the writer that holds the lease is killed and the other one
takes over without losing an acknowledged change."""
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import time

import harness

USERS = int(os.environ.get("WALLET_TEST_USERS", 3000))
CHANGES = int(os.environ.get("WALLET_TEST_CHANGES", 30000))
RATE = int(os.environ.get("WALLET_TEST_RATE", 500))
CUT_S = float(os.environ.get("WALLET_TEST_CUT_S", 10))
CONVERGED_S = 30
LINES = {
    "cash": "kind=cash,unit=CNY,scale=2,http",
    "coin": "kind=coin,unit=bean,scale=0,zmq",
}
HOSTS = ["reader", "writer", "stores"]
# the test itself is a fourth host: app servers and operators
CABLES = {("reader", "writer"): 1, ("reader", "stores"): 2, ("writer", "stores"): 3,
          ("reader", None): 4, ("writer", None): 5}


def run(*words):
    subprocess.run([str(w) for w in words], check=True)


def inside(host):
    return ["ip", "netns", "exec", host] if host else []


def address(host, other):
    """Where `host` is reached by `other`."""
    for (a, b), net in CABLES.items():
        if {a, b} == {host, other}:
            return f"10.77.{net}.{1 if a == host else 2}"
    raise KeyError((host, other))


def cable_up(a, b, net):
    ends = f"w{net}a", f"w{net}b"
    run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    for end, host, other in ((ends[0], a, b), (ends[1], b, a)):
        if host:
            run("ip", "link", "set", end, "netns", host)
        run(*inside(host), "ip", "addr", "add", f"{address(host, other)}/24", "dev", end)
        run(*inside(host), "ip", "link", "set", end, "up")


def pull(a, b, state):
    """state: "down" or "up"."""
    run(*inside(a), "ip", "link", "set", f"w{CABLES[a, b]}a", state)


def hosts_up():
    for host in HOSTS:
        run("ip", "netns", "add", host)
        run(*inside(host), "ip", "link", "set", "lo", "up")
    run("ip", "link", "set", "lo", "up")
    for (a, b), net in CABLES.items():
        cable_up(a, b, net)


class Keys:
    """Made with walletctl, as an operator would."""

    def __init__(self):
        self.folder = harness.folder()
        self.clients = self.folder / "clients"
        self.clients.mkdir()
        self.new("server", "peer")
        self.new("app", "read")
        self.new("lines", "notify:*")
        self.new("operator", "admin", "read")

    def new(self, name, *scopes):
        words = [str(harness.programs("release") / "walletctl"), "keys", "new", name,
                 "--dir", str(self.folder)]
        for scope in scopes:
            words += ["--scope", scope]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        (self.clients / f"{name}.key").write_text(self.public(name).read_text())

    def public(self, name):
        return self.folder / f"{name}.key"

    def secret(self, name):
        return self.folder / f"{name}.key_secret"


class Hosts:
    def __init__(self):
        self.keys = Keys()
        self.backends = harness.Backends(host="0.0.0.0", prefix=inside("stores"))
        harness.Client.curve(self.keys.secret("operator"), self.keys.public("server"))

    def settings(self, host):
        """Of a walletd on that host."""
        settings = self.backends.settings()
        at = address("stores", host)
        for key in ("shard.at", "queue.redis", "cache.redis"):
            settings[key] = settings[key].replace("0.0.0.0", at)
        return {**settings, "server.allow_plaintext_stores": "yes",
                "curve.key_file": self.keys.secret("server"), "curve.clients": self.keys.clients,
                "curve.server_key": self.keys.public("server"), "queue.partitions": 2}

    def start(self, config_of):
        self.backends.start()
        writer_at, reader_at = address("writer", None), address("reader", None)
        self.writers = [self.wallet("writer", **{
            "server.role": "writer", "server.name": f"writer{i}",
            "intake.endpoint": f"tcp://{writer_at}:{7701 + 100 * i}",
            "intake.subscribe": f"tcp://{writer_at}:{7702 + 100 * i}",
            "tier.endpoint": f"tcp://{address('writer', 'reader')}:{7703 + 100 * i}",
        }) for i in range(2)]
        self.lines = harness.LineSim(None, LINES, USERS, kind="release", owners=0, seed=21, rate=0,
                                     journal=harness.folder() / "journal", keep=True,
                                     prefix=inside("writer"),
                                     writer=",".join(w.write for w in self.writers),
                                     pub=",".join(w.pub for w in self.writers),
                                     key=self.keys.secret("lines"),
                                     server_key=self.keys.public("server"))
        self.reader = self.wallet("reader", **{
            "server.role": "reader", "frontend.endpoint": f"tcp://{reader_at}:7700",
            "tier.writers": ",".join(w.settings["tier.endpoint"] for w in self.writers),
        })
        config = config_of(self.lines)
        for wallet in [*self.writers, self.reader]:
            wallet.put("integration", {"lines": config})
            wallet.put("presentation", harness.pages(config))
            wallet.start()
        self.lines.start()
        return self

    def wallet(self, host, **more):
        wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []}, kind="release",
                                prefix=inside(host), **{**self.settings(host), **more})
        wallet.read = wallet.settings["frontend.endpoint"]
        wallet.write = wallet.settings["intake.endpoint"]
        wallet.pub = wallet.settings["intake.subscribe"]
        return wallet

    def holder(self):
        """The writers that hold a partition."""
        return [w for w in self.writers if w.process.poll() is None
                and any(p["held"] for p in w.queue()["partitions"])]

    def quiet(self, seconds):
        alive = [w for w in self.writers if w.process.poll() is None]
        for wallet in alive:
            wallet.wait_quiet(seconds)

    def watch(self):
        return harness.Watching(self.reader.read, USERS, deadline_ms=2000,
                                keys=(self.keys.secret("app"), self.keys.public("server")))


def differences(hosts):
    truth = hosts.lines.truth()
    reader = hosts.reader.reader()
    wrong = []
    for uid in range(1, USERS + 1):
        got = {(a["line"], a["bucket"]): a for a in reader.call("wallet.assets", uid=uid)["assets"]}
        for line in LINES:
            want = truth.get((line, uid, ""))
            have = got.get((line, ""))
            if want and (not have or have["version"] != int(want["version"])
                         or have["freshness"] != "fresh"):
                wrong.append((uid, line, have, want["version"]))
    reader.close()
    return wrong


def converge(hosts, seconds):
    """Until every wallet shows the truth; returns how long it took."""
    begun = time.monotonic()
    hosts.quiet(seconds)
    harness.until(lambda: not differences(hosts), max(1.0, seconds - (time.monotonic() - begun)),
                  "every wallet shows the truth", step=0.5)
    return time.monotonic() - begun


def convergence(hosts):
    watch = hosts.watch()
    hosts.lines.burst(CHANGES // 2, "req", RATE * 4)
    hosts.lines.burst(CHANGES // 2, "pub", RATE * 4)
    harness.until(lambda: hosts.lines.stats()["idle"], 180, "linesim has published everything")
    converge(hosts, 60)
    found = harness.judge(watch.stop())
    assert sum(found["errors"].values()) <= found["reads"] * 0.001, found
    return found["reads"]


def cut(hosts, a, b):
    """Pulls one cable for a while under changes and reads."""
    watch = hosts.watch()
    hosts.lines.burst(100000000, "req", RATE)
    time.sleep(1)
    pull(a, b, "down")
    time.sleep(CUT_S)
    pull(a, b, "up")
    hosts.lines.burst(0)
    healed = time.monotonic()
    harness.until(lambda: hosts.lines.stats()["idle"], CONVERGED_S, "linesim is acknowledged")
    converge(hosts, CONVERGED_S)
    took = time.monotonic() - healed
    assert took < CONVERGED_S, f"{a}-{b}: converged after {took:.1f} s"
    harness.judge(watch.stop())
    return round(took, 1)


def kill_holder(hosts):
    watch = hosts.watch()
    hosts.lines.burst(100000000, "req", RATE)
    time.sleep(2)
    victim = hosts.holder()[0]
    other = next(w for w in hosts.writers if w is not victim)
    victim.kill()
    begun = time.monotonic()
    harness.until(lambda: all(p["held"] for p in other.queue()["partitions"]), 10,
                  "the other writer takes over")
    took = time.monotonic() - begun
    time.sleep(2)
    hosts.lines.burst(0)
    harness.until(lambda: hosts.lines.stats()["idle"], 30, "linesim is acknowledged")
    converge(hosts, 30)
    harness.judge(watch.stop())
    victim.start()
    harness.until(lambda: len(hosts.holder()) == 2, 30, "the partitions are shared again")
    return round(took, 1)


def config_of(lines):
    config = {
        "cash": harness.line_config("cash", lines.urls["cash"]),
        "coin": harness.line_config("coin", lines.urls["coin"], unit="bean", scale=0),
    }
    for line in config.values():
        line.update(retry_base_ms=50, retry_max_ms=500, attempts_max=200)
    return config


def main():
    hosts_up()
    hosts = Hosts().start(config_of)
    reads = convergence(hosts)
    taken = kill_holder(hosts)
    healed = {f"{a}-{b}": cut(hosts, a, b) for a, b in list(CABLES)[:3]}
    lost, changes = harness.lost_changes(hosts.lines.journal, hosts.lines, USERS, hosts.reader)
    assert not lost, f"{len(lost)} acknowledged changes lost: {lost[:5]}"
    assert changes > CHANGES // 4, changes
    for wallet in [hosts.reader, *hosts.writers]:
        wallet.stop()
    hosts.lines.stop()
    hosts.backends.kill()
    harness.passed("hosts", reads=reads, acknowledged=changes, lost=0, takeover_s=taken,
                   healed_s=json.dumps(healed).replace(" ", ""))


if __name__ == "__main__":
    if os.environ.get("WALLET_TEST_UNSHARED") != "1":
        # namespaces of its own: whatever happens, nothing of them stays
        os.environ["WALLET_TEST_UNSHARED"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private",
                              sys.executable, __file__])
    pathlib.Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: nobody outlives this test
    sys.exit(main())
