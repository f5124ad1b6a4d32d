"""The body of scripts/demo: starts walletd and linesim, shows them working, ends both."""
import argparse
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "build" / "bin"
sys.path.insert(0, str(ROOT / "examples" / "python"))
from wallet import Wallet, WalletError  # noqa: E402  the example client is the demo's client

READ, WRITE, PUB = (f"tcp://127.0.0.1:{port}" for port in (7700, 7701, 7702))
CONTROL = 8100
USERS = 100000
LINES = [  # conf/config/integration-1.json asks them at these ports
    "cash,kind=cash,unit=CNY,scale=2,http=8101",
    "withdraw,kind=activity,unit=CNY,scale=2,http=8102",
    "coupon,kind=coupon,zmq=8103",
    "coin,kind=coin,unit=bean,scale=0,zmq=8104",
    "rebate,kind=cashback,unit=CNY,scale=2,shape=foreign,http=8105",
]
PORTS = [7700, 7701, 7702, CONTROL, 8101, 8102, 8103, 8104, 8105]


def ports_free():
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                sys.exit(f"scripts/demo: port {port} is taken; is another demo running?")


def say(text):
    print(text, flush=True)


def control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{CONTROL}{path}", data), timeout=30) as reply:
        return reply.read()


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"scripts/demo: not within {seconds} s: {what}")
        time.sleep(0.05)


def answers(wallet):
    try:
        return wallet.call("sys.info")["state"] == "ready"
    except (WalletError, TimeoutError):
        return False


def converge(admin, changes):
    """A progress line until every change is in database and cache; returns the seconds."""
    begun = time.monotonic()
    terminal = sys.stdout.isatty()
    while True:
        stats = json.loads(control("/stats"))
        queue = admin.call("admin.queue")
        told, waiting = stats["changes"], queue["pending"] + queue["in_flight"]
        seconds = time.monotonic() - begun
        line = f"  {told:>6,} of {changes:,} changes told, {waiting:>6,} pulls to do, {seconds:4.1f} s"
        print(f"\r{line}" if terminal else line, end="" if terminal else "\n", flush=True)
        done = (told >= changes and stats["idle"] and queue["entries"] == 0 and waiting == 0
                and queue["retries_waiting"] == 0)
        if done or seconds > 120:
            print("" if terminal else "", flush=True)
            if not done:
                raise SystemExit(f"scripts/demo: not converged: {queue}")
            return seconds
        time.sleep(0.2 if terminal else 1.0)


def same(asset, row):
    """Amount, pieces and version; the foreign line gives no versions."""
    return (asset["amount"] == int(row["amount"]) and asset["count"] == int(row["count"])
            and (asset["line"] == "rebate" or asset["version"] == int(row["version"])))


def compare(wallet):
    """Compares every user that a line knows with what walletd answers; returns (pairs, wrong)."""
    truth = {}
    for text in control("/truth.ndjson").splitlines():
        row = json.loads(text)
        if row["state"] != "gone":
            truth.setdefault(int(row["uid"]), {})[row["line"], row.get("bucket", "")] = row
    pairs = wrong = 0
    for uid, rows in list(truth.items())[:5000]:
        assets = {(a["line"], a["bucket"]): a for a in wallet.call("wallet.assets", uid=uid)["assets"]}
        pairs += len(rows)
        differ = [key for key in rows if key not in assets or not same(assets[key], rows[key])]
        differ += [key for key in assets if key not in rows]
        wrong += len(differ)
        for key in differ[:3]:
            say(f"  user {uid} {key[0]}: the line says {rows.get(key)}, walletd {assets.get(key)}")
    return truth, pairs, wrong


def show(wallet, uid):
    home = wallet.call("wallet.home", uid=uid)
    say(f"\nA Python REQ client asks wallet.home for user {uid}:")
    for slot in home["golden"]:
        amount = "-" if slot["amount"] is None else f"{slot['amount'] / 10 ** slot['scale']:,.{slot['scale']}f}"
        say(f"  golden {slot['position']}  {slot['title']:<20} {amount:>12} {slot['unit']:<5}"
            f" {slot['count']:>3} pcs  {slot['freshness']}")
    say(f"  has_assets {home['has_assets']}, degraded {home['degraded']}, config {home['config_version']}")
    say(f"\nThe same user through walletctl home {uid}:\n")
    subprocess.run([BIN / "walletctl", "home", str(uid)], check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, required=True)
    parser.add_argument("--once", choices=["yes", "no"], required=True)
    options = parser.parse_args()
    ports_free()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="walletd-demo-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when started with "&"
    children = []
    try:
        run(options, folder, children)
    except KeyboardInterrupt:
        say("\nended")
    finally:
        for child in reversed(children):
            if child.poll() is None:
                child.terminate()
        for child in children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
        shutil.rmtree(folder, ignore_errors=True)


def run(options, folder, children):
    def start(name, *arguments):
        child = subprocess.Popen([BIN / name, *arguments], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=open(folder / f"{name}.log", "w"),
                                 start_new_session=True)
        children.append(child)
        return child

    say(f"walletd: five lines, {USERS:,} users, embedded stores in {folder}")
    server = start("walletd", "-c", str(ROOT / "conf" / "walletd.ini"),
                   "-s", f"server.data_dir={folder / 'data'}",
                   "-s", f"server.config_dir={ROOT / 'conf' / 'config'}")
    lines = [word for line in LINES for word in ("--line", line)]
    start("linesim", *lines, "--users", str(USERS), "--seed", "7", "--owners", "0", "--rate", "0",
          "--mode", "req", "--writer", WRITE, "--pub", PUB, "--control", str(CONTROL))
    wallet, admin = Wallet(READ), Wallet(WRITE)
    until(lambda: server.poll() is not None or answers(wallet), 10, "walletd answers")
    if server.poll() is not None:
        raise SystemExit((folder / "walletd.log").read_text())

    say(f"The lines change {options.changes:,} assets and tell walletd, which pulls and stores them:")
    control("/burst", {"changes": options.changes, "mode": "req"})
    seconds = converge(admin, options.changes)
    truth, pairs, wrong = compare(wallet)
    say(f"converged in {seconds:.1f} s; {pairs:,} assets of 5,000 users compared with the lines' own "
        f"truth: {wrong} differences")
    uid = max(truth, key=lambda user: (len(truth[user]), -user))
    show(wallet, uid)
    if wrong:
        raise SystemExit(f"scripts/demo: {wrong} differences")
    if options.once == "yes":
        return
    say(f"""
walletd stays up. Try, in another terminal:
  build/bin/walletctl home {uid}          build/bin/walletctl lines
  build/bin/walletctl notify cash {uid}   build/bin/walletctl queue
  /usr/bin/python3 examples/python/wallet.py {uid}
Ctrl-C ends everything and removes {folder}.""")
    control("/burst", {"changes": 1000000000, "mode": "req", "rate": 500})
    while server.poll() is None:
        time.sleep(0.2)


if __name__ == "__main__":
    main()
