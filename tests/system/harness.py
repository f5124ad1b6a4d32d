"""Starts real programs on free ports in a private folder, speaks to them like any client, and ends
them whatever happens. Every system test uses these few classes.

Programs come from WALLET_TEST_SANITIZED or, for tests that measure time, WALLET_TEST_RELEASE.
WALLET_TEST_KEEP=1 keeps the private folder for looking at.
"""
import atexit
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import msgpack
import zmq
import zmq.auth

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/tools"))
import stores  # noqa: E402
from stores import free_port  # noqa: E402

_children = []
_folders = []


def programs(kind="sanitized"):
    default = "build/asan-ubsan/bin" if kind == "sanitized" else "build/bin"
    return ROOT / os.environ.get(f"WALLET_TEST_{kind.upper()}", default)


def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="wallet-test-"))
    _folders.append(path)
    return path


def _cleanup():
    for child in _children:
        if child.poll() is None:
            child.kill()
            child.wait()
    if os.environ.get("WALLET_TEST_KEEP") != "1":
        for path in _folders:
            shutil.rmtree(path, ignore_errors=True)
    else:
        print("kept:", *_folders, file=sys.stderr)


atexit.register(_cleanup)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def spawn(arguments, log, **more):
    """A child that dies with this test; stdout and stderr go to the file `log`."""
    child = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL,
                             stdout=open(log, "ab"), stderr=subprocess.STDOUT, **more)
    _children.append(child)
    return child


def until(condition, seconds, what, step=0.05):
    """Polls until condition() is true; its value is returned. Fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(step)


class Error(Exception):
    """An error reply."""

    def __init__(self, fields):
        super().__init__(f"{fields['code']}: {fields['message']}")
        self.code, self.message = fields["code"], fields["message"]
        self.retryable, self.retry_after_ms = fields["retryable"], fields.get("retry_after_ms")


class Client:
    """One DEALER that frames like REQ; request ids make late replies harmless."""
    context = zmq.Context()
    keys = None  # (public, secret, server's public) of all clients from now on

    @classmethod
    def curve(cls, secret_file, server_file):
        public, secret = zmq.auth.load_certificate(secret_file)
        cls.keys = public, secret, zmq.auth.load_certificate(server_file)[0]

    def __init__(self, endpoint, delimiter=True, keys=None):
        self.socket = Client.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if keys or Client.keys:
            (self.socket.curve_publickey, self.socket.curve_secretkey,
             self.socket.curve_serverkey) = keys or Client.keys
        self.socket.connect(endpoint)
        self.delimiter = delimiter
        self.msgid = 0

    def send(self, method, **args):
        self.msgid += 1
        self.send_body(msgpack.packb([0, self.msgid, method, [args]]))
        return self.msgid

    def send_body(self, body):
        self.socket.send_multipart(([b""] if self.delimiter else []) + [body])

    def receive(self, timeout=5.0):
        """The next reply as (msgid, error, result), or None."""
        if not self.socket.poll(int(timeout * 1000)):
            return None
        frames = self.socket.recv_multipart()
        kind, msgid, error, result = msgpack.unpackb(frames[-1], strict_map_key=False)
        assert kind == 1, frames
        return msgid, error, result

    def call(self, method, timeout=5.0, **args):
        msgid = self.send(method, **args)
        end = time.monotonic() + timeout
        while True:
            reply = self.receive(max(0.0, end - time.monotonic()))
            if reply is None:
                raise TimeoutError(f"{method}: no reply within {timeout} s")
            if reply[0] == msgid:
                break
        if reply[1] is not None:
            raise Error(reply[1])
        return reply[2]

    def error(self, method, timeout=5.0, **args):
        """The error of a call that has to fail."""
        try:
            result = self.call(method, timeout, **args)
        except Error as error:
            return error
        raise AssertionError(f"{method} {args} was accepted: {result}")

    def close(self):
        self.socket.close()


class Backends:
    """A private Redis for cache and queue (or a Redis Cluster) and MariaDB shards."""

    def __init__(self, shards=2, cluster=False, host="127.0.0.1", prefix=()):
        self.folder = folder()
        more = {"host": host, "prefix": prefix}
        self.redis = (stores.RedisCluster(self.folder / "cluster") if cluster
                      else stores.Redis(self.folder / "redis", **more))
        self.shards = [stores.MariaDB(self.folder / f"shard{i}", **more) for i in range(shards)]
        self.cluster = cluster
        atexit.register(self.kill)

    def start(self):
        for shard in self.shards:
            shard.start(wait=False)
        self.redis.start()
        for i, shard in enumerate(self.shards):
            shard.wait().sql(f"CREATE DATABASE IF NOT EXISTS wallet_{i}")
        return self

    def kill(self):
        for server in [self.redis, *self.shards]:
            server.kill()

    def settings(self):
        """What makes a walletd use them."""
        cluster = "yes" if self.cluster else "no"
        return {
            "shard.store": "mysql", "shard.instances": len(self.shards),
            "shard.at": ",".join(f"{s.at}/wallet_{i}" for i, s in enumerate(self.shards)),
            "shard.password_file": self.shards[0].password_file,
            "queue.store": "redis", "queue.redis": self.redis.at, "queue.cluster": cluster,
            "cache.store": "redis", "cache.redis": self.redis.at, "cache.cluster": cluster,
        }


class Wallet:
    """A walletd with its private folder."""

    def __init__(self, integration, presentation, kind="sanitized", prefix=(), **settings):
        """prefix: words before the program, such as "ip netns exec NAME"."""
        self.prefix = list(prefix)
        self.folder = folder()
        self.bin = programs(kind)
        self.config = self.folder / "config"
        self.config.mkdir()
        self.versions = {"integration": 0, "presentation": 0}
        self.put("integration", integration)
        self.put("presentation", presentation)
        self.read = f"tcp://127.0.0.1:{free_port()}"
        self.write = f"tcp://127.0.0.1:{free_port()}"
        self.pub = f"tcp://127.0.0.1:{free_port()}"
        self.settings = {
            "server.data_dir": self.folder / "data",
            "server.config_dir": self.config,
            "frontend.endpoint": self.read,
            "intake.endpoint": self.write,
            "intake.subscribe": self.pub,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        self.log = self.folder / "walletd.log"
        self.process = None

    def put(self, name, document):
        """Writes the next version of a document; text is written as it is."""
        self.versions[name] += 1
        version = self.versions[name]
        text = document if isinstance(document, str) else json.dumps({"version": version, **document})
        path = self.config / f"{name}-{version}.json"
        path.write_text(text)
        return path

    def start(self, wait=20.0, **more):
        arguments = self.prefix + [self.bin / "walletd"]
        for key, value in self.settings.items():
            arguments += ["-s", f"{key}={value}"]
        self.started = time.monotonic()
        self.process = spawn(arguments, self.log, **more)
        if wait:
            self.wait_ready(wait)
        return self

    def wait_ready(self, seconds=20.0):
        """Returns the seconds from start to the first answered sys.info that says ready."""
        reads = self.settings.get("server.role", "all") != "writer"
        client = Client(self.read if reads else self.write)

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"walletd ended with {self.process.returncode}\n{self.tail()}")
            try:
                return client.call("sys.info", timeout=0.2)["state"] == "ready"
            except (TimeoutError, Error):
                return False

        try:
            until(ready, seconds, "walletd is ready", step=0.005)
        finally:
            client.close()
        return time.monotonic() - self.started

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=15):
        """SIGTERM; a clean end is part of every test."""
        self.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"walletd does not end on SIGTERM\n{self.tail()}")
        assert code == 0, f"walletd ended with {code}\n{self.tail()}"
        return time.monotonic() - begun

    def reader(self):
        return Client(self.read)

    def writer(self):
        return Client(self.write)

    def counter(self, name):
        """Sum of a counter over all actors; copies are at most a second old."""
        with_writer = self.writer()
        try:
            actors = with_writer.call("admin.stats")["actors"]
        finally:
            with_writer.close()
        return sum(actor["counters"][name] for actor in actors)

    def queue(self):
        client = self.writer()
        try:
            return again(lambda: client.call("admin.queue"))
        finally:
            client.close()

    def wait_quiet(self, seconds=60):
        """Until nothing waits: no queue entry, no pull due, under way or to be repeated."""
        def quiet():
            queue = self.queue()
            return (queue["entries"] == 0 and queue["pending"] == 0 and queue["in_flight"] == 0
                    and queue["retries_waiting"] == 0)
        until(quiet, seconds, f"the queue is empty: {self.queue()}", step=0.2)


class LineSim:
    """One linesim process serving some lines."""

    def __init__(self, wallet, lines, users, kind="sanitized", prefix=(), **options):
        """lines: {id: "kind=cash,unit=CNY,scale=2,http"}; "http" and "zmq" get a free port.
        prefix: words before the program, such as "ip netns exec NAME"."""
        self.prefix = list(prefix)
        self.journal = options.get("journal")
        self.control = free_port()
        self.urls = {}
        self.folder = folder()
        self.log = self.folder / "linesim.log"
        arguments = [*prefix, programs(kind) / "linesim", "--users", users, "--control", self.control]
        for line, words in lines.items():
            port = free_port()
            transport = words.split(",")[-1]
            assert transport in ("http", "zmq"), words
            self.urls[line] = f"{'http' if transport == 'http' else 'tcp'}://127.0.0.1:{port}"
            arguments += ["--line", f"{line},{words}={port}"]
        if wallet is not None:
            arguments += ["--writer", wallet.write, "--pub", wallet.pub]
        for key, value in options.items():
            arguments += [f"--{key.replace('_', '-')}"] + ([] if value is True else [value])
        self.arguments = arguments
        self.process = None

    def start(self):
        self.process = spawn(self.arguments, self.log)
        until(self.alive, 10, "linesim answers")
        return self

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"linesim ended: {self.log.read_text(errors='replace')[-2000:]}")
        try:
            return self.stats() is not None
        except (OSError, subprocess.CalledProcessError):
            return False

    def _http(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        if self.prefix:  # its control port is on another host's loopback
            post = [] if data is None else ["--data-binary", data.decode()]
            return subprocess.run([*self.prefix, "curl", "-sfm", "30", *post,
                                   f"http://127.0.0.1:{self.control}{path}"],
                                  capture_output=True, check=True).stdout
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}{path}", data)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read()

    def stats(self):
        return json.loads(self._http("/stats"))

    def fault(self, line, fault, rate=1.0, **more):
        """more: ms, see linesim --help."""
        self._http("/fault", {"line": line, "fault": fault, "share": rate, **more})

    def reset(self, line=""):
        """The counts of stats() begin again."""
        self._http("/reset", {"line": line})

    def change(self, line, uid):
        """Changes one asset and tells nobody; returns its new version."""
        return json.loads(self._http(f"/change?line={line}&uid={uid}"))["version"]

    def details_add(self, line, uid, **more):
        """more: time, amount, title; returns {"id", "time"}."""
        query = urllib.parse.urlencode({"line": line, "uid": uid, **more})
        return json.loads(self._http(f"/details/add?{query}"))

    def details_delete(self, line, uid, item):
        """False: there is no such item."""
        query = urllib.parse.urlencode({"line": line, "uid": uid, "id": item})
        try:
            return self._http(f"/details/delete?{query}") is not None
        except (urllib.error.HTTPError, subprocess.CalledProcessError):
            return False

    def burst(self, changes, mode="req", rate=0):
        """rate 0: as fast as it goes; changes 0: no more of them."""
        self._http("/burst", {"changes": changes, "mode": mode, "rate": rate})

    def truth(self):
        """{(line, uid, bucket): asset} of everything the lines hold."""
        found = {}
        for row in self._http("/truth.ndjson").splitlines():
            asset = json.loads(row)
            found[asset["line"], int(asset["uid"]), asset.get("bucket", "")] = asset
        return found

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.log.read_text(errors="replace")[-2000:]


def line_value(seed, number, uid, version, coupon=False, keep=False):
    """What the linesim with this seed holds in its line of this number (0 = the first) at a version:
    (amount, count, pending), or None for a tombstone, of which there are none with --keep."""
    mask = 2**64 - 1

    def mix(x):
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & mask
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb & mask
        return x ^ (x >> 31)

    value = mix(seed ^ mix(uid) ^ mix(version * 64 + number))
    if value % 50 == 1 and not keep:
        return None
    if coupon:
        return 0, 1 + value % 5, 0
    return value % 10000000, 0, (value >> 32) % 5000 if value % 7 == 0 else 0


def line_config(kind, url, unit="CNY", scale=2, **more):
    """The configuration of one synchronised line."""
    config = {"kind": kind, "mode": "sync", "title": kind.capitalize(), "url": url, **more}
    if unit:
        config.update(unit=unit, scale=scale)
    return config


def pages(lines):
    """A presentation showing all lines: the first four golden, one section per kind."""
    sections = {}
    for line, config in lines.items():
        sections.setdefault(config["kind"], []).append(line)
    return {
        "golden": [{"line": line, "title": line, "link": f"app://{line}"} for line in list(lines)[:4]],
        "sections": [{"kind": kind, "title": kind, "lines": members}
                     for kind, members in sections.items()],
    }


def passed(name, **figures):
    print(name, "passed", " ".join(f"{key}={value}" for key, value in figures.items()), flush=True)


class Watching:
    """watch.py as a process of its own: reads on until it is told to stop."""

    def __init__(self, endpoint, users, window=32, deadline_ms=1000, prefix=(), keys=()):
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(ROOT / "tests/system/watch.py"), endpoint, str(users),
             str(window), str(deadline_ms), *[str(k) for k in keys]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _children.append(self.process)

    def stop(self):
        """What was found; the process has ended."""
        out, _ = self.process.communicate(timeout=60)
        return json.loads(out)


def again(call, seconds=10):
    """What a good client does: comes again when it is told to."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except Error as error:
            if not error.retryable or time.monotonic() > end:
                raise
            time.sleep((error.retry_after_ms or 100) / 1000)


def judge(found):
    """What no fault excuses."""
    assert not found["regressions"], found["regressions"][:5]
    assert not found["false_none"], found["false_none"][:5]
    assert found["foreign"] == 0 and found["late"] == 0, found
    return found


def lost_changes(journal, lines, users, wallet):
    """Acknowledged changes (linesim's journal) that `wallet` does not show, as
    (line, uid, shown, acknowledged); also how many were acknowledged."""
    acked, changes = {}, 0
    for row in pathlib.Path(journal).read_text().splitlines():
        line, uid, version = row.split()
        acked[line, int(uid)] = max(acked.get((line, int(uid)), 0), int(version))
        changes += 1
    gone = {key[:2] for key, asset in lines.truth().items() if asset["state"] == "gone"}
    reader = wallet.reader()
    lost = []
    for uid in range(1, users + 1):
        held = {}
        for asset in reader.call("wallet.assets", uid=uid)["assets"]:
            held[asset["line"]] = max(held.get(asset["line"], 0), asset["version"])
        for line in lines.urls:
            version = acked.get((line, uid), 0)
            if held.get(line, 0) < version and (line, uid) not in gone:
                lost.append((line, uid, held.get(line), version))
    reader.close()
    return lost, changes
