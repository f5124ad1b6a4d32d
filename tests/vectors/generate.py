#!/usr/bin/env python3
"""Writes the conformance vectors: request bytes and the reply bytes that docs/PROTOCOL.md demands.

The replies are computed here from the rules of the protocol, with another MessagePack library and
without a line of walletd, so that they are a second opinion and not a recording.

usage: generate.py            writes the .json files beside it
       generate.py --check    exit 1 when a file is not what would be written
"""
import json
import pathlib
import struct
import sys

import msgpack

HERE = pathlib.Path(__file__).resolve().parent
T = 1700000000000  # changed_at of all assets; also stands where a time is masked
FOREVER = 4102444800000
U64 = 2**64 - 1

# ---- the data set ------------------------------------------------------------------------------

LINES = {
    "cash": {"kind": "cash", "unit": "CNY", "scale": 2},
    "coin": {"kind": "coin", "unit": "bean", "scale": 0},
    "coupon": {"kind": "coupon", "unit": "", "scale": 0},
    "rebate": {"kind": "cashback", "unit": "CNY", "scale": 2},
}
TITLES = {"cash": "Cash", "coin": "Beans", "coupon": "Coupons", "rebate": "返现"}
GOLDEN = ["cash", "coin", "coupon", None]
# Campaigns by position and by section: (id, line, more). "refund" is for owners only; "over" and
# "late" have ended.
OVER, BEGUN = "2001-01-01T00:00:00Z", "2020-01-01T08:00:00+08:00"
GOLDEN_CAMPAIGNS = {
    1: [("refund", "rebate", {"title": "退款", "link": "app://refund", "start": BEGUN, "unless": ["empty"]})],
    2: [("over", "coin", {"title": "Over", "end": OVER, "priority": 1000})],
}
SECTION_CAMPAIGNS = {
    "link": [("dawn", "dawn", {"priority": 1}),
             ("tour", "sale", {"title": "Tour", "link": "app://tour", "start": BEGUN, "priority": 2}),
             ("late", "sale", {"end": OVER, "priority": 3})],
}
LINKS = {"help": ("Help", "app://wallet/help"), "sale": ("Sale", "app://sale"),
         "dawn": ("Dawn", "app://dawn")}
SECTIONS = [("cash", "Balance", ["cash"]), ("cashback", "返现", ["rebate"]),
            ("coupon", "", ["coupon"]), ("coin", "Beans", ["coin"]), ("link", "More", ["help"])]


def campaigns(table, place):
    rows = [{"id": name, "line": line, **more} for name, line, more in table.get(place, [])]
    return {"campaigns": rows} if rows else {}


def configuration():
    """Nobody listens at the lines' addresses: all values come with notifications."""
    lines = {}
    for line, about in LINES.items():
        lines[line] = {"kind": about["kind"], "title": TITLES[line], "url": "tcp://127.0.0.1:1"}
        if about["unit"]:
            lines[line].update(unit=about["unit"], scale=about["scale"])
    for line, (title, url) in LINKS.items():
        lines[line] = {"kind": "link", "mode": "link", "title": title, "url": url}
    return {
        "integration": {"version": 1, "lines": lines},
        "presentation": {
            "version": 1,
            "golden": [line and {"line": line, "link": f"app://{line}",
                                 **campaigns(GOLDEN_CAMPAIGNS, position)}
                       for position, line in enumerate(GOLDEN, 1)],
            "sections": [{"kind": kind, "title": title, "lines": members,
                          **campaigns(SECTION_CAMPAIGNS, kind)}
                         for kind, title, members in SECTIONS],
        },
    }


def asset(uid, line, amount=0, bucket="", version=1, **more):
    return {"uid": uid, "line": line, "bucket": bucket, "amount": amount, "version": version,
            **{"count": 0, "pending": 0, "state": "available", "expires_at": 0, "extra": {}, **more}}


# In the order of the database's key, so that the order in replies is defined.
ASSETS = [
    asset(1001, "cash", 1250, version=7),
    asset(1002, "cash", 100, version=3, pending=40, extra={"title": "Main", "badge": "新"}),
    asset(1002, "cash", 25, bucket="ios", version=9, expires_at=FOREVER),
    asset(1002, "coin", 70000, version=300),
    asset(1002, "coupon", 0, version=2, count=3),
    asset(1002, "rebate", 5, version=70000, state="frozen"),
    asset(1003, "cash", 500, version=4, expires_at=1),
    asset(1004, "coin", 2**63 - 1, bucket="a", version=2**63 - 1),
    asset(1004, "coin", 1, bucket="b", version=5),
    asset(1005, "cash", 77, version=2, state="gone"),
    asset(2**53, "cash", 8, version=1),
    asset(2**63 + 5, "cash", 9, version=1),
    asset(U64, "cash", 10, version=1),
]
WITH_ASSETS = sorted({a["uid"] for a in ASSETS})


def setup_requests():
    """notify.assets, one per line, and the replies that acknowledge them. The last one is late."""
    requests = []
    for line in LINES:
        values = []
        for a in ASSETS:
            if a["line"] == line:
                about = LINES[line]
                values.append({**a, "kind": about["kind"], "unit": about["unit"],
                               "scale": about["scale"], "changed_at": T})
        requests.append((call(1, "notify.assets", {"line": line, "assets": values}),
                         reply(1, {"accepted": len(values)})))
    older = {**asset(1001, "cash", 1, version=6), "kind": "cash", "unit": "CNY", "scale": 2}
    requests.append((call(1, "notify.assets", {"line": "cash", "assets": [older]}),
                     reply(1, {"accepted": 1})))  # accepted, and changes nothing
    return requests


# ---- what walletd answers ----------------------------------------------------------------------

def state_now(a):
    over = a["state"] in ("available", "frozen") and 0 < a["expires_at"] < T
    return "expired" if over else a["state"]


def of(uid, line=None):
    return [a for a in ASSETS if a["uid"] == uid and a["state"] != "gone"
            and line in (None, a["line"])]


def asset_map(a):
    about = LINES[a["line"]]
    return {"line": a["line"], "bucket": a["bucket"], "kind": about["kind"], "amount": a["amount"],
            "unit": about["unit"], "scale": about["scale"], "count": a["count"],
            "pending": a["pending"], "state": state_now(a), "expires_at": a["expires_at"],
            "version": a["version"], "changed_at": T, "extra": a["extra"], "as_of": T,
            "source": "cache", "freshness": "fresh"}


def hollow_map(line):
    """What stands for a line that nothing is known of: no number, so never a wrong zero."""
    about = LINES.get(line, {"kind": "link", "unit": "", "scale": 0})
    link = line in LINKS
    return {"line": line, "bucket": "", "kind": about["kind"], "amount": None,
            "unit": about["unit"], "scale": about["scale"], "count": 0, "pending": None,
            "state": None, "expires_at": 0, "version": 0, "changed_at": None,
            "extra": dict(zip(("title", "link"), LINKS[line])) if link else {}, "as_of": None,
            "source": "cache", "freshness": "fresh" if link else "missing"}


def total(assets, key):
    """None beyond 64 bits: an amount is exact or unknown."""
    value = sum(a[key] for a in assets)
    return value if -2**63 <= value < 2**63 else None


def runs(uid, line, more):
    """All of this data set have begun, or ended, years ago."""
    owned = any(state_now(a) in ("available", "frozen") and (a["amount"] or a["pending"] or a["count"])
                for a in of(uid, line))
    return "end" not in more and (owned or "empty" not in more.get("unless", []))


def shown(table, place, uid):
    """Those that are shown, the highest first."""
    found = [row for row in table.get(place, []) if runs(uid, *row[1:])]
    return sorted(found, key=lambda row: -row[2].get("priority", 0))


def golden_map(uid, position):
    line, title, link, more = GOLDEN[position - 1], None, f"app://{GOLDEN[position - 1]}", {}
    for name, of_campaign, about in shown(GOLDEN_CAMPAIGNS, position, uid)[:1]:
        line, more = of_campaign, {"campaign": name}
        title, link = about.get("title"), about.get("link", "")
    about = LINES.get(line, {"kind": "", "unit": "", "scale": 0})
    held = of(uid, line) if line else []
    counted = [a for a in held if state_now(a) == "available"]
    known = bool(held) and total(counted, "amount") is not None
    return {"position": position, "line": line or "", "title": title or TITLES.get(line, ""),
            "link": link if line else "", "kind": about["kind"],
            "amount": total(counted, "amount") if known else None, "unit": about["unit"],
            "scale": about["scale"], "count": sum(a["count"] for a in counted),
            "pending": total(counted, "pending") if known else None,
            "freshness": "fresh" if held else "missing", "as_of": T if held else None,
            "source": "cache", "version": max((a["version"] for a in held), default=0), **more}


def has_assets(uid):
    return any(state_now(a) in ("available", "frozen")
               and (a["amount"] or a["pending"] or a["count"]) for a in of(uid))


def golden(uid):
    return {"uid": uid, "has_assets": has_assets(uid),
            "golden": [golden_map(uid, position) for position in (1, 2, 3, 4)]}


def section(uid, kind, title, lines):
    items, held = [], []
    rows = [(line, {"campaign": name, "title": about.get("title") or LINKS[line][0],
                    "link": about.get("link") or LINKS[line][1]})
            for name, line, about in shown(SECTION_CAMPAIGNS, kind, uid)]
    for line, more in rows + [(line, {}) for line in lines]:
        found = of(uid, line)
        items += [{**item, **more} for item in
                  [asset_map(a) for a in found] or [hollow_map(line)]]
        held += [a for a in found if state_now(a) == "available"]
    totals = []
    if held:  # the lines of a section of this data set have one unit
        about = LINES[held[0]["line"]]
        amount = total(held, "amount")
        totals = [{"unit": about["unit"], "scale": about["scale"], "amount": amount,
                   "pending": total(held, "pending") if amount is not None else None,
                   "count": sum(a["count"] for a in held)}]
        if amount is None:
            totals[0]["overflow"] = True
    return {"kind": kind, "title": title, "items": items, "totals": totals}


def home(uid):
    return {**golden(uid), "sections": [section(uid, *s) for s in SECTIONS], "degraded": [],
            "config_version": "1.1"}


def assets(uid, *lines):
    return {"uid": uid, "assets": [asset_map(a) for a in of(uid) if not lines or a["line"] in lines]}


# ---- bytes -------------------------------------------------------------------------------------

def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def call(msgid, method, *params):
    return pack([0, msgid, method, list(params)])


def reply(msgid, result):
    return pack([1, msgid, None, result])


def refusal(msgid, code, retryable=False, **more):
    return pack([1, msgid, {"code": code, "message": "(any text)", "retryable": retryable, **more},
                 None])


def u64(number):
    return b"\xcf" + struct.pack(">Q", number)


def f64(number):
    return b"\xcb" + struct.pack(">d", number)


def raw(*parts, msgid=b"\x01", method=None, kind=b"\x00", head=b"\x94"):
    """A request of hand-made pieces: parts are the params."""
    return head + kind + msgid + (pack("wallet.golden") if method is None else method) + b"".join(parts)


def uid_args(uid_bytes):
    return b"\x91\x81" + pack("uid") + uid_bytes


AS_OF = ["3/golden/*/as_of"]
HOME_MASK = AS_OF + ["3/sections/*/items/*/as_of"]
ASSETS_MASK = ["3/assets/*/as_of"]
TEXT = ["2/message"]
vectors = {"reads": [], "encodings": [], "errors": [], "writes": []}


def add(file, name, about, request, answer, mask=(), port="reader"):
    vectors[file].append({"name": name, "about": about, "port": port, "request": request.hex(),
                          "reply": answer and answer.hex(), "mask": list(mask)})


# ---- vectors -----------------------------------------------------------------------------------

def add_reads():
    who = {1001: "one asset", 1002: "every line, two buckets", 1003: "only something expired",
           1004: "a sum beyond 64 bits is nil, not wrong", 1005: "only a tombstone",
           999: "a user nobody has heard of", 2**53: "a uid at the edge of doubles",
           2**63 + 5: "a uid that SQL calls negative", U64: "the largest uid"}
    for number, (uid, about) in enumerate(who.items(), 1):
        add("reads", f"home_{uid}", about, call(number, "wallet.home", {"uid": uid}),
            reply(number, home(uid)), HOME_MASK)
        add("reads", f"golden_{uid}", about, call(number + 200, "wallet.golden", {"uid": uid}),
            reply(number + 200, golden(uid)), AS_OF)
        add("reads", f"assets_{uid}", about, call(number + 70000, "wallet.assets", {"uid": uid}),
            reply(number + 70000, assets(uid)), ASSETS_MASK)
    for lines in (["cash"], ["coin", "rebate"], ["help"], []):
        add("reads", "assets_1002_of_" + ("_".join(lines) or "all"), "lines filters; empty = all",
            call(5, "wallet.assets", {"uid": 1002, "lines": lines}),
            reply(5, assets(1002, *lines)), ASSETS_MASK)
    add("reads", "home_with_scene_and_min_version", "optional args of wallet.home",
        call(6, "wallet.home", {"uid": 1001, "scene": "centre", "min_version": {"cash": 7}}),
        reply(6, home(1001)), HOME_MASK)
    uids = [1001, 999, 1002, 888, 2**63 + 5, U64]
    add("reads", "has_assets_in_the_order_asked", "presence only",
        call(7, "wallet.has_assets", {"uids": uids}),
        reply(7, {"has": [uid in WITH_ASSETS for uid in uids]}))
    add("reads", "has_assets_of_nobody", "an empty list is a question too",
        call(8, "wallet.has_assets", {"uids": []}), reply(8, {"has": []}))
    many = list(range(5001, 6001))
    add("reads", "has_assets_of_a_thousand", "the largest question",
        call(9, "wallet.has_assets", {"uids": many}), reply(9, {"has": [False] * 1000}))
    add("reads", "ping", "liveness", call(10, "sys.ping", {}), reply(10, {"pong": True}))
    add("reads", "unknown_keys_are_ignored", "a newer client",
        call(11, "wallet.golden", {"new": [1, {"deep": None}], "uid": 1001}),
        reply(11, golden(1001)), AS_OF)
    add("reads", "trace_is_accepted", "W3C traceparent",
        call(12, "wallet.golden", {"uid": 1001, "deadline_ms": 5000,
                                   "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}),
        reply(12, golden(1001)), AS_OF)
    add("reads", "of_two_equal_keys_the_first_counts", "not every encoder prevents it",
        raw(b"\x91\x82" + (pack("uid") + pack(1001)) + (pack("uid") + pack(1002))),
        reply(1, golden(1001)), AS_OF)


def add_encodings():
    for name, number, value in (
            ("uint8", b"\xcc\x2a", 42), ("uint16", b"\xcd\x00\x2a", 42),
            ("uint32", b"\xce\x00\x00\x00\x2a", 42), ("uint64", u64(42), 42),
            ("int8", b"\xd0\x2a", 42), ("int16", b"\xd1\x00\x2a", 42),
            ("int32", b"\xd2\x00\x00\x00\x2a", 42), ("int64", b"\xd3" + bytes(7) + b"\x2a", 42),
            ("float32", b"\xca" + struct.pack(">f", 42), 42), ("float64", f64(42), 42),
            ("largest", u64(U64), U64), ("zero", b"\x00", 0)):
        add("encodings", f"msgid_as_{name}", "the reply has the shortest form",
            raw(b"\x90", msgid=number, method=pack("sys.ping")), reply(value, {"pong": True}))
        if name not in ("largest", "zero"):
            add("encodings", f"uid_as_{name}", "any width, and integral floats, are the same user",
                raw(uid_args(number)), reply(1, golden(42)), AS_OF)
    add("encodings", "uid_2_53_as_float64", "the largest integer that every double near it reaches",
        raw(uid_args(f64(2.0**53))), reply(1, golden(2**53)), AS_OF)
    text = b"wallet.golden"
    for name, head in (("str8", b"\xd9\x0d"), ("str16", b"\xda\x00\x0d"),
                       ("str32", b"\xdb\x00\x00\x00\x0d"), ("bin8", b"\xc4\x0d"),
                       ("bin16", b"\xc5\x00\x0d"), ("bin32", b"\xc6\x00\x00\x00\x0d")):
        add("encodings", f"method_as_{name}", "text may be str or bin of any width",
            raw(uid_args(pack(1001)), method=head + text), reply(1, golden(1001)), AS_OF)
    for name, key in (("str8", b"\xd9\x03uid"), ("str32", b"\xdb\x00\x00\x00\x03uid"),
                      ("bin8", b"\xc4\x03uid")):
        add("encodings", f"key_as_{name}", "keys likewise",
            raw(b"\x91\x81" + key + pack(1001)), reply(1, golden(1001)), AS_OF)
    for name, head in (("map16", b"\xde\x00\x01"), ("map32", b"\xdf\x00\x00\x00\x01")):
        add("encodings", f"args_as_{name}", "a map of any width",
            raw(b"\x91" + head + pack("uid") + pack(1001)), reply(1, golden(1001)), AS_OF)
    for name, head in (("array16", b"\xdc\x00\x01"), ("array32", b"\xdd\x00\x00\x00\x01")):
        add("encodings", f"params_as_{name}", "an array of any width",
            raw(head + b"\x81" + pack("uid") + pack(1001)), reply(1, golden(1001)), AS_OF)
    for name, head in (("array16", b"\xdc\x00\x04"), ("array32", b"\xdd\x00\x00\x00\x04")):
        add("encodings", f"envelope_as_{name}", "an array of any width",
            raw(uid_args(pack(1001)), head=head), reply(1, golden(1001)), AS_OF)
    add("encodings", "type_as_float64", "JavaScript", raw(b"\x90", kind=f64(0), method=pack("sys.ping")),
        reply(1, {"pong": True}))
    add("encodings", "params_may_be_empty", "no args is an empty map",
        raw(b"\x90", method=pack("sys.ping")), reply(1, {"pong": True}))
    add("encodings", "params_may_hold_nil", "no args is an empty map",
        raw(b"\x91\xc0", method=pack("sys.ping")), reply(1, {"pong": True}))
    add("encodings", "uids_of_mixed_widths", "elements too",
        raw(b"\x91\x81" + pack("uids") + b"\x93" + u64(1001) + f64(1002) + b"\xd1\x03\xe7",
            method=pack("wallet.has_assets")), reply(1, {"has": [True, True, False]}))
    add("encodings", "lines_as_bin", "elements too",
        raw(b"\x91\x82" + pack("uid") + pack(1002) + pack("lines") + b"\x91\xc4\x04coin",
            method=pack("wallet.assets")), reply(1, assets(1002, "coin")), ASSETS_MASK)
    add("encodings", "deadline_as_float64", "JavaScript",
        raw(b"\x91\x82" + pack("uid") + pack(1001) + pack("deadline_ms") + f64(5000)),
        reply(1, golden(1001)), AS_OF)


def add_errors():
    def bad(name, about, request, code="bad_request", msgid=1, retryable=False, port="reader"):
        add("errors", name, about, request, refusal(msgid, code, retryable), TEXT, port)

    for name, value in (("zero", pack(0)), ("negative", pack(-5)), ("text", pack("1001")),
                        ("nil", pack(None)), ("bool", pack(True)), ("fraction", f64(1.5)),
                        ("above_2_53_as_float", f64(2.0**53 + 2)), ("nan", f64(float("nan"))),
                        ("infinity", f64(float("inf"))), ("map", pack({})), ("array", pack([1])),
                        ("minus_zero", f64(-0.0)), ("ext", b"\xd4\x01\x00")):
        bad(f"uid_is_{name}", "a uid is an integer from 1 to 2^64-1", raw(uid_args(value)))
    bad("uid_is_missing", "required", call(1, "wallet.golden", {}))
    bad("args_are_missing", "required", raw(b"\x90"))
    bad("method_is_unknown", "never ignored", call(1, "wallet.nothing", {}), "unknown_method")
    bad("method_is_empty", "never ignored", call(1, "", {}), "unknown_method")
    bad("method_of_the_other_port", "writes go to the writer",
        call(1, "notify.changed", {"line": "cash", "changes": [{"uid": 1}]}), "unknown_method")
    bad("method_of_the_reader_at_the_writer", "reads go to the reader",
        call(1, "wallet.home", {"uid": 1001}), "unknown_method", port="writer")
    bad("method_is_a_number", "not text", raw(b"\x90", method=b"\x05"))
    bad("params_are_a_map", "an array that holds one map", raw(b"\x80"))
    bad("params_hold_two", "an array that holds one map", raw(b"\x92\x80\x80"))
    bad("args_are_an_array", "one map", raw(b"\x91\x90"))
    bad("args_are_text", "one map", raw(b"\x91\xa1x"))
    bad("lines_name_a_stranger", "a line that is not configured",
        call(1, "wallet.assets", {"uid": 1001, "lines": ["nobody"]}), "not_found")
    bad("lines_are_text", "a list", call(1, "wallet.assets", {"uid": 1001, "lines": "cash"}))
    bad("lines_hold_no_id", "[a-z0-9_-]{1,32}",
        call(1, "wallet.assets", {"uid": 1001, "lines": ["Cash!"]}))
    bad("min_version_is_a_list", "a map", call(1, "wallet.home", {"uid": 1001, "min_version": [1]}))
    bad("uids_are_missing", "required", call(1, "wallet.has_assets", {}))
    bad("uids_are_too_many", "1,000 at most",
        call(1, "wallet.has_assets", {"uids": list(range(1, 1002))}))
    bad("uids_hold_zero", "as one uid alone", call(1, "wallet.has_assets", {"uids": [1, 0]}))
    bad("uids_are_a_number", "a list", call(1, "wallet.has_assets", {"uids": 1}))
    for name, value in (("zero", 0), ("negative", -1)):
        bad(f"deadline_is_{name}", "work past it is dropped, never done",
            call(1, "wallet.golden", {"uid": 1001, "deadline_ms": value}), "deadline", retryable=True)
    bad("deadline_is_text", "a number",
        call(1, "wallet.golden", {"uid": 1001, "deadline_ms": "soon"}))
    # envelopes: what cannot be read has msgid 0 in its answer
    bad("body_is_empty", "no object", b"", msgid=0)
    bad("body_is_no_msgpack", "0xc1 is never used", b"\xc1", msgid=0)
    bad("body_is_cut", "ends within the args", raw(uid_args(pack(1001)))[:-1])
    bad("body_has_more", "a byte behind the object", raw(uid_args(pack(1001))) + b"\x00")
    bad("body_is_a_map", "an array", b"\x80", msgid=0)
    bad("body_is_a_reply", "type 1 comes from servers", pack([1, 1, None, None]), msgid=0)
    bad("type_is_unknown", "0 or 2", pack([3, 1, "sys.ping", [{}]]), msgid=0)
    bad("request_has_three", "four fields", pack([0, 1, "sys.ping"]))
    bad("request_has_five", "four fields", pack([0, 1, "sys.ping", [{}], None]))
    bad("msgid_is_text", "an integer", raw(b"\x90", msgid=pack("1")), msgid=0)
    bad("msgid_is_negative", "from 0 to 2^64-1", raw(b"\x90", msgid=b"\xff"), msgid=0)
    bad("too_deep", "16 levels", raw(b"\x91\x81" + pack("deep") + b"\x91" * 20 + b"\xc0"))
    bad("count_larger_than_the_bytes_left", "four billion elements in nine bytes",
        raw(b"\xdd\xff\xff\xff\xff"))
    bad("too_long", "65,536 bytes", call(1, "wallet.golden", {"uid": 1001, "pad": "x" * 65536}))
    add("errors", "a_notification_has_no_reply", "not even an error",
        pack([2, "sys.ping", [{}]]), None)
    add("errors", "a_bad_notification_has_no_reply", "not even an error",
        pack([2, "wallet.nothing", [{}]]), None)


def add_writes():
    def bad(name, about, method, args, code="bad_request"):
        add("writes", name, about, call(2, method, args), refusal(2, code), TEXT, "writer")

    bad("line_is_unknown", "not configured", "notify.changed",
        {"line": "nobody", "changes": [{"uid": 1}]}, "not_found")
    bad("line_is_a_link", "it holds nothing", "notify.changed",
        {"line": "help", "changes": [{"uid": 1}]})
    bad("line_is_missing", "required", "notify.changed", {"changes": [{"uid": 1}]})
    bad("changes_are_missing", "required", "notify.changed", {"line": "cash"})
    bad("changes_hold_zero", "a uid is from 1", "notify.changed",
        {"line": "cash", "changes": [{"uid": 0}]})
    bad("changes_hold_numbers", "maps", "notify.changed", {"line": "cash", "changes": [5]})
    bad("change_has_a_long_bucket", "16 bytes", "notify.changed",
        {"line": "cash", "changes": [{"uid": 1, "bucket": "x" * 17}]})
    bad("change_has_a_large_version", "at most 2^63-1", "notify.changed",
        {"line": "cash", "changes": [{"uid": 1, "version": 2**63}]})
    bad("changes_are_too_many", "1,000 at most", "notify.changed",
        {"line": "cash", "changes": [{"uid": 1}] * 1001})
    bad("asset_with_a_fraction", "money is never a float", "notify.assets",
        {"line": "cash", "assets": [{"uid": 1, "version": 1, "kind": "cash", "amount": 12.5,
                                     "unit": "CNY", "scale": 2}]})
    bad("assets_are_too_many", "200 at most", "notify.assets",
        {"line": "cash", "assets": [{"uid": 1, "version": 1, "amount": 1}] * 201})
    bad("refresh_of_nobody", "a uid is required", "wallet.refresh", {})
    bad("refresh_of_an_unknown_line", "not configured", "wallet.refresh",
        {"uid": 1, "lines": ["nobody"]}, "not_found")
    bad("dead_letter_that_is_not_there", "numbers are never used twice", "admin.dlq.show",
        {"id": 2**40}, "not_found")


ABOUT = {
    "reads": "the read methods over the data set",
    "encodings": "valid MessagePack of every width is the same request",
    "errors": "what is refused, with its code; a reply of null means silence",
    "writes": "the writer's methods; they leave the data set as it is",
}


def files():
    add_reads()
    add_encodings()
    add_errors()
    add_writes()
    dataset = {"about": "configuration and values that the vectors speak of",
               "configuration": configuration(),
               "setup": [{"request": request.hex(), "reply": answer.hex()}
                         for request, answer in setup_requests()],
               "warm": [str(uid) for uid in WITH_ASSETS + [999, 42]]}
    yield "dataset.json", dataset
    for name, rows in vectors.items():
        names = [row["name"] for row in rows]
        assert len(set(names)) == len(names), "names are unique"
        yield f"{name}.json", {"about": ABOUT[name], "vectors": rows}


def main():
    stale = []
    for name, document in files():
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        path = HERE / name
        if "--check" in sys.argv:
            stale += [name] * (not path.exists() or path.read_text() != text)
        else:
            path.write_text(text)
            print(name, len(document.get("vectors", document.get("setup"))))
    if stale:
        print("not as generate.py writes them:", *stale, file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
