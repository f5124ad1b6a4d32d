#!/usr/bin/env python3
"""A client of walletd in one class. Needs pyzmq and msgpack (python3-zmq, python3-msgpack).

usage: wallet.py UID              prints the wallet page of a user
       wallet.py watch UID        prints the golden slots whenever they change
       -e ENDPOINT before either  another server than tcp://127.0.0.1:7700
       -k FILE -s FILE            our keys (NAME.key_secret) and the server's public key (NAME.key),
                                  when the server wants keys; or $WALLET_KEY, $WALLET_SERVER_KEY
"""
import getopt
import os
import sys
import time

import msgpack
import zmq
import zmq.auth


class WalletError(Exception):
    """walletd refused: code, message, retryable, retry_after_ms (or None)."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message = error["code"], error["message"]
        self.retryable, self.retry_after_ms = error["retryable"], error.get("retry_after_ms")


class WalletTimeout(Exception):
    """No answer in time. Reads may simply be asked again, and so may notifications."""


class Wallet:
    """One connection, one request at a time, one thread.

    A REQ socket that got no answer can ask nothing more, so it is replaced; with it goes the late
    answer, which could otherwise be taken for the answer to the next question. That also helps when
    the server did not accept our key and now does: libzmq itself does not try again.

    key_file, server_key_file: made by `walletctl keys new`; both or none."""

    def __init__(self, endpoint="tcp://127.0.0.1:7700", timeout_ms=1000, key_file=None,
                 server_key_file=None):
        self.endpoint, self.timeout_ms, self.msgid, self.socket = endpoint, timeout_ms, 0, None
        self.keys = None
        if key_file or server_key_file:
            public, secret = zmq.auth.load_certificate(key_file)
            self.keys = public, secret, zmq.auth.load_certificate(server_key_file)[0]

    def call(self, method, **args):
        if self.socket is None:
            self.socket = zmq.Context.instance().socket(zmq.REQ)
            self.socket.setsockopt(zmq.LINGER, 0)
            if self.keys:
                (self.socket.curve_publickey, self.socket.curve_secretkey,
                 self.socket.curve_serverkey) = self.keys
            self.socket.connect(self.endpoint)
        self.msgid += 1
        args.setdefault("deadline_ms", self.timeout_ms)
        self.socket.send(msgpack.packb([0, self.msgid, method, [args]]))
        if not self.socket.poll(self.timeout_ms):
            self.close()
            raise WalletTimeout(f"{method}: no answer from {self.endpoint} in {self.timeout_ms} ms")
        _, _, error, result = msgpack.unpackb(self.socket.recv())
        if error is not None:
            raise WalletError(error)
        return result

    def home(self, uid):
        return self.call("wallet.home", uid=uid)

    def golden(self, uid):
        return self.call("wallet.golden", uid=uid)

    def has_assets(self, uids):
        return self.call("wallet.has_assets", uids=list(uids))["has"]

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def money(item):
    """Minor units to text, without a float in between. None is unknown, never zero."""
    amount, scale = item["amount"], item["scale"]
    if amount is None:
        return "unknown"
    if not item["unit"]:
        return f"{item['count']} pieces"
    digits = str(abs(amount)).rjust(scale + 1, "0")
    point = len(digits) - scale
    fraction = "." + digits[point:] if scale else ""
    return f"{'-' if amount < 0 else ''}{digits[:point]}{fraction} {item['unit']}"


def print_golden(reply):
    for slot in reply["golden"]:
        if slot["line"]:
            print(f"  {slot['title']:<20} {money(slot):>20}  {slot['freshness']}")


def print_home(reply):
    print(f"user {reply['uid']} {'owns something' if reply['has_assets'] else 'owns nothing'}")
    print_golden(reply)
    for section in reply["sections"]:
        print(section["title"] or section["kind"])
        for item in section["items"]:
            link = item.get("link") or item["extra"].get("link", "")  # a campaign's goes first
            value = link if item["kind"] == "link" else money(item)
            name = item["title"] if "campaign" in item else item["line"]
            print(f"  {name:<20} {value:>20}  {item['freshness']}")
    if reply["degraded"]:
        print("as last known:", *reply["degraded"])


def watch(wallet, uid):
    seen = None
    while True:
        try:
            reply = wallet.golden(uid)
        except (WalletTimeout, WalletError) as error:
            print(error, file=sys.stderr)
            if isinstance(error, WalletError) and not error.retryable:
                return 1
            reply = None
        shown = reply and [(s["line"], s["amount"], s["count"], s["freshness"])
                           for s in reply["golden"]]
        if shown and shown != seen:
            print(time.strftime("%H:%M:%S"), "user", uid)
            print_golden(reply)
            sys.stdout.flush()
            seen = shown
        time.sleep(0.5)


def main(words):
    options = {"key_file": os.environ.get("WALLET_KEY"),
               "server_key_file": os.environ.get("WALLET_SERVER_KEY")}
    names = {"-e": "endpoint", "-k": "key_file", "-s": "server_key_file"}
    try:
        flags, words = getopt.getopt(words, "e:k:s:")
    except getopt.GetoptError as error:
        print(error, file=sys.stderr)
        return 2
    options.update((names[flag], value) for flag, value in flags)
    watching = words[:1] == ["watch"]
    words = words[1:] if watching else words
    if len(words) != 1 or not (words[0].isascii() and words[0].isdigit()):
        print(__doc__, file=sys.stderr)
        return 2
    wallet, uid = Wallet(**options), int(words[0])
    try:
        if watching:
            return watch(wallet, uid)
        print_home(wallet.home(uid))
    except (WalletError, WalletTimeout) as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, WalletError) else 5
    except KeyboardInterrupt:
        return 0
    finally:
        wallet.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
