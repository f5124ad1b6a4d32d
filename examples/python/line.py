#!/usr/bin/env python3
"""A business line for walletd, complete and small: copy it and put your own tables behind it.

usage: line.py serve [option...]           answers walletd, and tells it who changed
       line.py earn|spend UID AMOUNT TITLE [-d DATABASE]
                                           something happens; AMOUNT in minor units

  -p PORT      where to listen on loopback, default 8201
  -l LINE      the line's id, default points
  -u UNIT      default bean; the scale is 0
  -d DATABASE  SQLite, default points.db
  -s FILE      the key that signs walletd's requests; without it anybody is answered
  -w ENDPOINT  walletd's port for changes, such as tcp://127.0.0.1:7701; without it nobody is told.
               $WALLET_KEY and $WALLET_SERVER_KEY name our keys when that port wants some

Standard library only; telling walletd needs wallet.py beside this file, pyzmq and msgpack.
"""
import calendar
import collections
import contextlib
import getopt
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import sys
import threading
import time
import urllib.parse

TIME_OFF_MS = 5 * 60 * 1000   # an older request is somebody's recording
CALLS_AT_ONCE = 32            # more are told to come again


class Ledger:
    """What happened to whom. A user's version is the id of the newest entry: it only grows, survives
    a restart, and changes in the same transaction as the balance. That is all walletd asks for."""

    def __init__(self, path):
        self.path = path
        with self.open() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY AUTOINCREMENT, "
                       "uid TEXT NOT NULL, time INTEGER NOT NULL, title TEXT NOT NULL, "
                       "amount INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0)")
            db.execute("CREATE INDEX IF NOT EXISTS entry_uid ON entry (uid, time, id)")
            db.execute("CREATE INDEX IF NOT EXISTS entry_told ON entry (told) WHERE told = 0")

    @contextlib.contextmanager
    def open(self):
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as db, db:
            yield db

    def book(self, uid, amount, title):
        """A clock that steps back does not put a newer entry behind an older one."""
        with self.open() as db:
            db.execute("INSERT INTO entry (uid, time, title, amount) SELECT ?, "
                       "MAX(?, COALESCE((SELECT MAX(time) FROM entry WHERE uid = ?), 0)), ?, ?",
                       (uid, int(time.time() * 1000), uid, title, amount))

    def balances(self, uids):
        """(uid, balance, version, time of the last change) of those who ever had an entry."""
        marks = ",".join("?" * len(uids))
        with self.open() as db:
            return db.execute(f"SELECT uid, SUM(amount), MAX(id), MAX(time) FROM entry "
                              f"WHERE uid IN ({marks}) GROUP BY uid", uids).fetchall()

    def entries(self, uid, first, last, below, limit):
        """(id, time, title, amount), newest first, of first <= time < last, older than `below`, the
        (time, id) where the page before ended. A page is found by what it shows, never by an OFFSET:
        entries that come in meanwhile move nothing."""
        with self.open() as db:
            return db.execute("SELECT id, time, title, amount FROM entry WHERE uid = ? "
                              "AND time >= ? AND time < ? AND (time, id) < (?, ?) "
                              "ORDER BY time DESC, id DESC LIMIT ?",
                              (uid, first, last, *below, limit)).fetchall()

    def sums(self, uid, first, last):
        """(in, out, count)"""
        with self.open() as db:
            return db.execute("SELECT COALESCE(SUM(MAX(amount, 0)), 0), "
                              "COALESCE(SUM(MAX(-amount, 0)), 0), COUNT(*) FROM entry "
                              "WHERE uid = ? AND time >= ? AND time < ?",
                              (uid, first, last)).fetchone()

    def untold(self):
        """{uid: version} of the changes walletd has not acknowledged."""
        with self.open() as db:
            return dict(db.execute("SELECT uid, MAX(id) FROM entry WHERE told = 0 GROUP BY uid "
                                   "LIMIT 1000"))

    def told(self, versions):
        with self.open() as db:
            db.executemany("UPDATE entry SET told = 1 WHERE uid = ? AND id <= ? AND told = 0",
                           versions.items())


class Signature:
    """Is a request from walletd, fresh, and not a repetition? Thread-safe."""

    def __init__(self, key):
        self.key, self.seen, self.lock = key, collections.OrderedDict(), threading.Lock()

    def good(self, method, target, headers, body):
        path, _, query = target.partition("?")
        when, nonce = headers.get("X-Wallet-Time", ""), headers.get("X-Wallet-Nonce", "")
        signed = "\n".join([method, path, query, when, nonce, ""]).encode() + body
        wanted = hmac.new(self.key, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(),
                                   headers.get("X-Wallet-Signature", "").encode()):
            return False
        now = int(time.time() * 1000)
        with self.lock:
            while self.seen and next(iter(self.seen.values())) < now - 2 * TIME_OFF_MS:
                self.seen.popitem(last=False)
            if abs(now - int(when)) > TIME_OFF_MS or nonce in self.seen:
                return False
            self.seen[nonce] = now
        return True


class Line:
    """What walletd is answered: the standard contract. Ids and amounts are text: a reader that makes
    floats of numbers then does no harm."""

    def __init__(self, name, unit, ledger):
        self.name, self.unit, self.ledger = name, unit, ledger

    def assets(self, request):
        records = [{"uid": uid, "amount": str(balance), "version": str(version), "changed_at": changed}
                   for uid, balance, version, changed in self.ledger.balances(request["uids"])]
        return {"assets": records}

    def details(self, uid, month="", cursor="", limit="20"):
        first, last = month_bounds(month)
        below = [int(part) for part in cursor.split(".")] if cursor else [last, 0]
        found = self.ledger.entries(uid, first, last, below, min(int(limit), 100))
        items = [{"id": f"{number:016d}",  # of one time the larger id comes first, as text
                  "time": when, "title": title, "amount": str(amount), "unit": self.unit, "scale": 0}
                 for number, when, title, amount in found]
        full = len(found) == min(int(limit), 100)
        return {"items": items, "next": f"{found[-1][1]}.{found[-1][0]}" if full else None}

    def summary(self, uid, month=""):
        came, went, count = self.ledger.sums(uid, *month_bounds(month))
        return {"in": str(came), "out": str(went), "count": count, "unit": self.unit, "scale": 0}

    def answer(self, method, path, query, body):
        """The answer to a request, None for a path that is not ours."""
        if (method, path) == ("POST", "/assets"):
            return self.assets(json.loads(body))
        if (method, path) == ("GET", "/details"):
            return self.details(**query)
        if (method, path) == ("GET", "/summary"):
            return self.summary(**query)
        return None


def month_bounds(month):
    """"2026-11" as [first, last) in ms since 1970, UTC; "" is all."""
    if not month:
        return 0, 2**62
    year, number = int(month[:4]), int(month[5:])
    following = (year + number // 12, number % 12 + 1)
    return tuple(calendar.timegm((y, m, 1, 0, 0, 0)) * 1000 for y, m in ((year, number), following))


def handler_of(line, signature):
    calls = threading.BoundedSemaphore(CALLS_AT_ONCE)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # walletd keeps its connections
        timeout = 60

        def reply(self, status, document, **headers):
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def serve(self):
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1 << 20))
            if signature and not signature.good(self.command, self.path, self.headers, body):
                return self.reply(401, {"error": "signature"})
            if not calls.acquire(blocking=False):
                return self.reply(503, {"error": "busy"}, Retry_After="1")
            try:
                path, _, query = self.path.partition("?")
                answer = line.answer(self.command, path, dict(urllib.parse.parse_qsl(query)), body)
            except (ValueError, KeyError, TypeError) as error:
                return self.reply(400, {"error": str(error)})
            finally:
                calls.release()
            if answer is None:
                return self.reply(404, {"error": "no such path"})
            return self.reply(200, answer)

        do_GET = do_POST = serve

        def log_message(self, *words):
            pass

    return Handler


def tell(line, endpoint):
    """Tells walletd who changed until it has said yes. The list of those to be told lies in the
    database, in the rows of the changes themselves, so that neither a crash of ours nor an hour
    without walletd loses one. Telling twice does no harm."""
    from wallet import Wallet, WalletError, WalletTimeout
    wallet = Wallet(endpoint, key_file=os.environ.get("WALLET_KEY"),
                    server_key_file=os.environ.get("WALLET_SERVER_KEY"))
    while True:
        versions, pause = line.ledger.untold(), 0.2
        if versions:
            try:
                wallet.call("notify.changed", line=line.name,
                            changes=[{"uid": int(uid), "version": version}
                                     for uid, version in versions.items()])
                line.ledger.told(versions)
                pause = 0
            except WalletTimeout as error:
                print(error, file=sys.stderr)
            except WalletError as error:
                print(error, file=sys.stderr)
                pause = (error.retry_after_ms or 1000) / 1000
        time.sleep(pause)


def serve(line, options):
    key = None
    if "-s" in options:
        with open(options["-s"], "rb") as file:
            key = file.read().rstrip(b"\r\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(options.get("-p", 8201))),
                                             handler_of(line, Signature(key) if key else None))
    server.daemon_threads = True
    if "-w" in options:
        threading.Thread(target=tell, args=(line, options["-w"]), daemon=True).start()
    print(f"{line.name} listens on port {server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


def numeric(words):
    return all(word.isascii() and word.isdigit() for word in words)


def main(words, kind=Line):
    try:
        flags, words = getopt.gnu_getopt(words, "p:l:u:d:s:w:")
    except getopt.GetoptError as error:
        print(error, file=sys.stderr)
        return 2
    options = dict(flags)
    ledger = Ledger(options.get("-d", "points.db"))
    if words == ["serve"]:
        serve(kind(options.get("-l", "points"), options.get("-u", "bean"), ledger), options)
    elif len(words) == 4 and words[0] in ("earn", "spend") and numeric(words[1:3]):
        ledger.book(words[1], int(words[2]) * (1 if words[0] == "earn" else -1), words[3])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
