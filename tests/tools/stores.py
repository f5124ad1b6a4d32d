"""Private stores for tests: Redis servers, a Redis Cluster, MariaDB servers, etcd, on free ports in
a private folder. Imported by tests/system/harness.py; as a program it serves the C tests:

    stores.py start FOLDER          starts all, writes FOLDER/env, returns when they answer
    stores.py run FOLDER COMMAND... runs COMMAND with FOLDER/env in its environment
    stores.py stop FOLDER           ends them and removes FOLDER

They end with whoever called `start` (its parent process), and after two hours in any case.
"""
import base64
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

PASSWORD = "wallet-test"
LIFETIME_S = 7200


given = set()  # ports: who was given one may not have bound it yet


def free_port(row=1):
    """The first of `row` ports that nobody listens at. They lie below those that the kernel gives to
    connections (ip_local_port_range), or one of these would be there before the server is."""
    while True:
        port = random.SystemRandom().randrange(10240, 22000)
        ports = range(port, port + row)
        if not given.isdisjoint(ports):
            continue
        try:
            for number in ports:
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", number))
            given.update(ports)
            return port
        except OSError:
            continue


def cluster_port():
    """The cluster bus takes the port + 10,000, so both have to be free."""
    while True:
        port = free_port()
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port + 10000)) != 0:
                return port


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Server:
    """One server process with its folder and log; start() may be called again after kill()."""
    process = None

    def __init__(self, folder, host="127.0.0.1", port=None, prefix=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host, self.port = host, port or free_port()
        self.prefix = list(prefix)  # "ip netns exec NAME": runs on that host
        self.log = self.folder / "server.log"

    @property
    def at(self):
        return f"{self.host}:{self.port}"

    def launch(self, arguments):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.prefix + [str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"{type(self).__name__} at {self.at} does not answer\n{tail}")
            time.sleep(0.02)
        return self

    def kill(self, how=signal.SIGKILL):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


class Redis(Server):
    """durable: every write is on the disk before it is answered."""

    def __init__(self, folder, durable=True, options=(), **more):
        super().__init__(folder, **more)
        self.durable, self.options = durable, list(options)

    def start(self, wait=True):
        aof = ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else []
        self.launch(["redis-server", "--port", self.port, "--bind", self.host, "--dir", self.folder,
                     "--save", "", "--protected-mode", "no", "--daemonize", "no", *aof,
                     *self.options])
        return self.wait() if wait else self

    def command(self, *words, timeout=5.0):
        """One command over a plain socket, for tests only: returns the reply's raw text."""
        if self.prefix:
            return subprocess.run(self.prefix + ["redis-cli", "-h", self.host, "-p", str(self.port),
                                                 *[str(w) for w in words]],
                                  capture_output=True, text=True, timeout=timeout).stdout
        with socket.create_connection((self.host, self.port), timeout) as s:
            parts = [str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(
                b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            s.settimeout(timeout)
            return s.recv(1 << 20).decode(errors="replace")

    def answers(self):
        try:
            return "PONG" in self.command("PING", timeout=0.5)
        except (OSError, subprocess.TimeoutExpired):
            return False


class RedisCluster:
    """Three masters, each with a replica."""

    def __init__(self, folder, timeout_ms=1000):
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", timeout_ms,
                   "--cluster-require-full-coverage", "no",
                   "--repl-diskless-sync-delay", "0"]
        self.nodes = [Redis(pathlib.Path(folder) / f"node{i}", options=options,
                            port=cluster_port()) for i in range(6)]

    @property
    def at(self):
        return ",".join(node.at for node in self.nodes[:3])

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait()
        subprocess.run(["redis-cli", "--cluster", "create", *[node.at for node in self.nodes],
                        "--cluster-replicas", "1", "--cluster-yes"],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)
        end = time.monotonic() + 30
        while not all(self.ready(node) for node in self.nodes):
            assert time.monotonic() < end, "the cluster does not come up"
            time.sleep(0.05)
        return self

    def ready(self, node):
        role = node.command("INFO", "replication")
        return ("cluster_state:ok" in node.command("CLUSTER", "INFO")
                and ("role:master" in role or "master_link_status:up" in role))

    def masters(self):
        return [node for node in self.nodes if node.process.poll() is None
                and "role:master" in node.command("INFO", "replication")]

    def kill(self):
        for node in self.nodes:
            node.kill()


class MariaDB(Server):
    def start(self, wait=True):
        data = self.folder / "data"
        # A server that starts deletes what others keep in a temporary folder they share.
        temporary = f"--tmpdir={self.folder}"
        if not data.exists():
            self.install(data)
            (self.folder / "init.sql").write_text(
                f"CREATE USER IF NOT EXISTS walletd@'%' IDENTIFIED BY '{PASSWORD}';\n"
                "GRANT ALL ON *.* TO walletd@'%';\n")
            password = self.folder / "password"
            password.write_text(PASSWORD + "\n")
            password.chmod(0o600)
        self.launch(["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", temporary,
                     f"--bind-address={self.host}", f"--port={self.port}",
                     f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}",
                     f"--init-file={self.folder / 'init.sql'}", "--skip-name-resolve",
                     "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M",
                     "--max-connections=300", "--performance-schema=off",
                     "--innodb-flush-log-at-trx-commit=1"])
        return self.wait() if wait else self

    def install(self, data):
        done = subprocess.run(["mariadb-install-db", "--no-defaults", "--skip-test-db",
                               "--auth-root-authentication-method=normal", "--user=root",
                               f"--datadir={data}"], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "TMPDIR": str(self.folder)})
        assert done.returncode == 0, f"{done.stdout[-1500:]} {done.stderr[-1500:]}"

    @property
    def password_file(self):
        return self.folder / "password"

    def sql(self, text, timeout=20):
        """Runs SQL as root over the local socket, returns what the client prints."""
        done = subprocess.run(["mariadb", "--no-defaults", "-uroot", f"-S{self.folder / 'socket'}",
                               "-N", "-B", "-e", text], capture_output=True, text=True,
                              timeout=timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answers(self):
        try:
            return self.sql("SELECT user FROM mysql.user WHERE user = 'walletd'",
                            timeout=2).strip() == "walletd"
        except (AssertionError, subprocess.TimeoutExpired):
            return False


class Etcd(Server):
    """One member; `url` is what config.mirror_etcd takes."""
    peer_port = None

    def start(self, wait=True):
        self.peer_port = self.peer_port or free_port()
        peer = f"http://{self.host}:{self.peer_port}"
        self.launch(["etcd", "--name", "test", "--data-dir", self.folder / "data",
                     "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                     "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                     "--initial-cluster", f"test={peer}", "--heartbeat-interval", "50",
                     "--election-timeout", "500", "--logger", "zap", "--log-level", "warn"])
        return self.wait() if wait else self

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def ask(self, method, body, timeout=5.0):
        """One request to the JSON gateway; bytes in it are base64."""
        request = urllib.request.Request(f"{self.url}/v3/{method}", json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout) as answer:
            return json.load(answer)

    def flush(self):
        """Takes every key away."""
        everything = base64.b64encode(b"\0").decode()
        self.ask("kv/deleterange", {"key": everything, "range_end": everything})

    def answers(self):
        try:
            self.ask("kv/range", {"key": base64.b64encode(b"x").decode()}, timeout=1.0)
            return True
        except (OSError, ValueError):
            return False


# ---- as a program ---------------------------------------------------------------------------------

def serve(folder, parent):
    """Starts everything, writes folder/env, and stays until the parent or the folder has gone."""
    servers = [Redis(folder / "redis"), MariaDB(folder / "mariadb0"), MariaDB(folder / "mariadb1"),
               Etcd(folder / "etcd")]
    cluster = RedisCluster(folder / "cluster")
    for server in servers:
        server.start(wait=False)
    cluster.start()
    for server in servers:
        server.wait()
    text = "".join(f"{key}={value}\n" for key, value in {
        "WALLET_TEST_REDIS": servers[0].at,
        "WALLET_TEST_REDIS_CLUSTER": cluster.at,
        "WALLET_TEST_MYSQL": f"{servers[1].at},{servers[2].at}",
        "WALLET_TEST_MYSQL_PASSWORD_FILE": servers[1].password_file,
        "WALLET_TEST_ETCD": servers[3].url,
    }.items())
    (folder / "env.new").write_text(text)
    (folder / "env.new").rename(folder / "env")
    end = time.monotonic() + LIFETIME_S
    while time.monotonic() < end and (folder / "env").exists() and alive(parent):
        time.sleep(0.2)
    for server in servers + cluster.nodes:
        server.kill()
    shutil.rmtree(folder, ignore_errors=True)


def alive(process):
    try:
        os.kill(process, 0)
        return True
    except OSError:
        return False


def start(folder):
    stop(folder)
    folder.mkdir(parents=True)
    parent = os.getppid()
    with open(folder / "log", "ab") as log:
        child = subprocess.Popen([sys.executable, __file__, "serve", str(folder), str(parent)],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True)
    (folder / "pid").write_text(str(child.pid))
    end = time.monotonic() + 90
    while not (folder / "env").exists():
        if child.poll() is not None or time.monotonic() > end:
            sys.exit((folder / "log").read_text(errors="replace")[-4000:] or "no stores in 90 s")
        time.sleep(0.05)


def stop(folder):
    if not folder.exists():
        return
    (folder / "env").unlink(missing_ok=True)  # the server sees this and ends
    try:
        process = int((folder / "pid").read_text())
    except (OSError, ValueError):
        process = 0
    end = time.monotonic() + 20
    while process and alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def run(folder, command):
    environment = dict(os.environ)
    for row in (folder / "env").read_text().splitlines():
        key, _, value = row.partition("=")
        environment[key] = value
    os.execvpe(command[0], command, environment)


def main():
    words = sys.argv[1:]
    if len(words) < 2 or words[0] not in ("start", "stop", "run", "serve"):
        sys.exit(__doc__)
    folder = pathlib.Path(words[1]).resolve()
    if words[0] == "serve":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        serve(folder, int(words[2]))
    elif words[0] == "run":
        run(folder, words[2:])
    else:
        {"start": start, "stop": stop}[words[0]](folder)


if __name__ == "__main__":
    main()
