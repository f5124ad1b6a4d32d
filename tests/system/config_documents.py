"""Documents of the runtime configuration for tests: good ones at random, and ways to spoil them."""
import copy
import itertools
import json
import pathlib
import re

import harness

KINDS = ["cash", "activity", "cashback", "coupon", "coin"]
TIMES = ["2026-11-11T00:00:00+08:00", "2000-02-29T23:59:59.999Z", "1970-01-01t00:00:00z",
         "9999-12-31T00:00:00.123456789-23:59", "2024-02-29T00:00:00Z"]
BAD_TIMES = ["2026-11-11", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
             "2026-13-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-11-11T24:00:00Z",
             "2026-11-11T00:60:00Z", "2026-11-11T23:59:60Z", "2026-11-11T00:00:00",
             "1969-12-31T00:00:00Z", "2026-11-11T00:00:00.Z", "2026-11-11T00:00:00+24:00",
             "2026-11-11T00:00:00Z\n", "2026-11-11 00:00:00Z", "10000-01-01T00:00:00Z"]
URLS = ["http://h", "https://a.b-c_d:65535/x?y#z", "http://[::1]:80", "http://[fe80::1%eth0]",
        "http://10.0.0.7:8101", "tcp://h:1", "tcp://[::1]:65535", "http://h?x", "http://h#x",
        "app://wallet/help", "a://", "http://h/%e4%bd%99"]
BAD_URLS = ["", "http://", "http://h:0", "http://h:65536", "http://h:080", "http://u:p@h", "http://*",
            "http://h:", "http://[::1", "http://[]:1", "tcp://h", "tcp://h:1/", "tcp://*:1", "tcp://h:1?a",
            "ftp://h", "HTTP://h", "h:80", "://h", "http://h/a b", "http://h/\u4f59", "http://h:8\n",
            "http:///", "http://h:1:2", "http://[::1]x", "tcp://[::1%]:5", "tcp://a_b:9\t"]
AMOUNTS = ["0", "-0", "00", "7", "-7", "007", "9223372036854775807", "09223372036854775807",
           "-9223372036854775808", "9223372036854775808", "-9223372036854775809",
           "9223372036854775799", "8999999999999999999", "99999999999999999999", "1.0", "1.5", "+1", "",
           "-", " 1", "1 ", "1\n", "1e3", "0x1", "\u0661", "--1", "000000000000000000000000000001"]
POINTERS = ["", "/", "/a", "/a/b", "/~0~1", "/a~", "/~2", "a", "//", "/\u4f59\u989d", "/a\n", "/~",
            "/" + "a" * 62, "/" + "a" * 63, "/" + "\u4f59" * 15, "/" + "\u4f59" * 16, "/a b"]
IDS = ["a", "a-b_9", "", "A", "a.b", "a" * 32, "a" * 33, "\u4f59", "a\n", "a ", "cash"]
WORDS = ["x", "a\tb", "a\nb", "\n", "x\n", "\x7f", "\x80", "\u0085", "\u2028", "\U0001f381", "\u4f59\u989d",
         "\u0000", "null", "true", "1", " ", "/", "é" * 24, "é" * 25, "\U0001f381" * 24,
         "\U0001f381" * 25, "\u4f59" * 23 + "abcd", "\u4f59" * 23 + "abcde", "x" * 5000] + \
        ["x" * n for n in (11, 12, 13, 31, 32, 33, 62, 63, 64, 95, 96, 97, 255, 256, 257, 511, 512, 513)]
NUMBERS = [0, -0.0, 0.5, 1.0, -1, 1e2, 1.5e3, 1e300, -1e300, 5e-324, 2**31, 2**32, 2**53 - 1, 2**53,
           2**53 + 1, 2.0**53, 2**63 - 1, -2**63, 2**63, 10**30, 9007199254740991.0, 1e15]
# Every number of wide characters that a text may have, at its bound and one above.
WIDE = [head + "\u4f59" * wide + "x" * (size - 4 * wide - len(head) + over) for head in ("", "/")
        for size in (12, 32, 63, 96) for wide in range((size - len(head)) // 4 + 1) for over in (0, 1)]
OTHERS = [None, True, False, [], {}, [None], [[]], {"a": 1}, "", [1, 2], {"": None}, [{}]]


FULL_LINE = {
    "kind": "cash", "mode": "sync", "title": "Cash", "adapter": "http", "url": "http://h", "secret": "k",
    "unit": "CNY", "versions": True, "must_revalidate": False, "consent": False, "details": True,
    "summary": True, "priority": "low", "adaptive": True,
    "sanity": {"amount_min": "0", "amount_max": "9", "jump_max": "1", "version_ahead_max": "1"},
    "mapping": {key: "/a" for key in ("path", "list", "uid", "bucket", "amount", "pending", "count", "state",
                                      "expires_at", "changed_at", "version", "title")},
    "details_mapping": {key: "/a" for key in ("path", "list", "id", "time", "title", "amount", "kind", "next")},
    "summary_mapping": {key: "/a" for key in ("path", "in", "out", "count")},
    "sample": [{"a": ["x"]}]}
FULL_LINE["mapping"]["amount_rule"] = "minor"
FULL_LINE["details_mapping"].update(amount_rule="decimal", time_rule="ms", query_uid="u", query_month="m",
                                    query_cursor="c", query_limit="l")
FULL_LINE["summary_mapping"].update(amount_rule="decimal", query_uid="u", query_month="m")
FULL_CAMPAIGN = {"id": "c", "line": "cash", "title": "Cash", "link": "app://x", "start": TIMES[0],
                 "end": TIMES[3], "priority": 1, "unless": ["sick"]}
FULL_PAGE = {"version": 1, "golden": [
    {"line": "cash", "title": "Cash", "link": "app://x", "campaigns": [FULL_CAMPAIGN]}], "sections": [
        {"kind": "cash", "title": "Cash", "lines": ["cash"], "campaigns": [dict(FULL_CAMPAIGN, id="d")]}]}


def texts(rnd):
    return rnd.choice(rnd.choice([TIMES, BAD_TIMES, URLS, BAD_URLS, AMOUNTS, POINTERS, IDS, WORDS]))


def nested(rnd, depth):
    value = rnd.choice([1, "x", None, 1.5])
    for _ in range(depth):
        value = [value] if rnd.random() < 0.5 else {rnd.choice(["a", "data", "\u4f59"]): value}
    return value


def some(rnd, keys, share=0.3):
    return [key for key in keys if rnd.random() < share]


def title(rnd):
    return rnd.choice(["Cash", "\u4f59\u989d", "\U0001f381 gift", "x" * 96, "", "\u4f59" * 24])


def number(rnd, rule):
    low, high = rule["minimum"], rule["maximum"]
    value = rnd.choice([low, high, rnd.randint(low, high), rule.get("default", low)])
    return float(value) if rnd.random() < 0.1 else value


class Documents:
    """Good documents. Bounds and names come from the schemas, rules between keys from docs/CONFIG.md."""

    def __init__(self, rnd, integration, presentation):
        self.rnd = rnd
        self.line_rules = integration["properties"]["lines"]["additionalProperties"]["properties"]
        self.names = sorted(set(names(integration)) | set(names(presentation)))
        self.enums = sorted(set(enums(integration)) | set(enums(presentation)))
        self.edges = sorted(set(edges(integration)) | set(edges(presentation)))
        self.samples = [read(path) for path in sorted((harness.ROOT / "conf/config").glob("*.json"))]
        self.samples += shown((harness.ROOT / "docs/CONFIG.md").read_text())

    def line(self):
        rnd = self.rnd
        if rnd.random() < 0.15:
            line = {"kind": "link", "mode": "link", "title": title(rnd)}
            line.update({"url": "app://wallet/help"} if rnd.random() < 0.7 else {})
            return line
        line = {"kind": rnd.choice(KINDS), "unit": rnd.choice(["CNY", "bean", "\u8c46"])}
        if rnd.random() < 0.5:
            line["mode"] = rnd.choice(["sync", "live"])
        zmq = rnd.random() < 0.3
        urls = ["tcp://h:81", "tcp://[::1]:82"] if zmq else ["http://h", "https://h:8443/p?q"]
        line.update({"urls": urls} if rnd.random() < 0.2 else {"url": rnd.choice(urls)})
        if rnd.random() < 0.3:
            line["adapter"] = "zmq" if zmq else "http"
        for key, rule in self.line_rules.items():
            if rule.get("type") == "integer" and key[:5] != "retry" and rnd.random() < 0.15:
                line[key] = number(rnd, rule)
        line.update({key: rnd.random() < 0.5 for key in some(rnd, ["adaptive", "consent", "versions"])})
        line.update({"secret": "k", "title": title(rnd)} if rnd.random() < 0.5 else {})
        self.shapes(line, zmq)
        return line

    def shapes(self, line, zmq):
        rnd = self.rnd
        if rnd.random() < 0.4:
            line["sanity"] = {key: "5" for key in some(rnd, ["amount_max", "jump_max"], 0.6)}
            if line.get("versions", True):
                line["sanity"].update({"version_ahead_max": "007"} if rnd.random() < 0.5 else {})
        if rnd.random() < 0.4:
            mapping = {"uid": "/u~1x", rnd.choice(["amount", "count"]): "/\u4f59\u989d", "version": "/v"}
            mapping.update({"path": "/p?a=b"} if rnd.random() < 0.5 else {"amount_rule": "decimal"})
            line["mapping"] = mapping
        if not zmq and rnd.random() < 0.3:
            line.update(details=True, details_mapping={
                "id": "/i", "time": "/t", "amount": "/a", "time_rule": "s", "query_uid": "who"})
        if not zmq and rnd.random() < 0.2:
            line.update(summary=True, summary_mapping={"in": "/i", "out": "/o", "count": "/c"})
        if rnd.random() < 0.3:
            line["sample"] = nested(rnd, rnd.choice([0, 1, 2, 5, 12, 13]))

    def integration(self):
        count = self.rnd.choice([0, 1, 1, 1, 1, 2, 3])
        lines = {self.rnd.choice(["cash", "a", "b-c_9", "z" * 32]): self.line() for _ in range(count)}
        return {"version": self.rnd.choice([1, 7, 2**53 - 1, 3.0]), "lines": lines}

    def campaign(self, line, number):
        rnd = self.rnd
        found = {"id": f"c{number}", "line": line}
        found.update({"start": "2026-01-01T00:00:00Z"} if rnd.random() < 0.5 else {})
        found.update({"end": rnd.choice(TIMES[:1] + TIMES[3:4])} if rnd.random() < 0.5 else {})
        found.update({"priority": rnd.choice([0, 1000])} if rnd.random() < 0.5 else {})
        found.update({"unless": rnd.choice([[], ["sick"], ["empty", "sick"]])} if rnd.random() < 0.5 else {})
        return found

    def presentation(self):
        rnd = self.rnd
        page = {"version": rnd.choice([1, 2**53 - 1, 8e0])}
        numbers = iter(range(100))
        if rnd.random() < 0.7:
            page["golden"] = [None if rnd.random() < 0.4 else
                              {"line": line, "title": title(rnd), "link": "app://x", "campaigns": [
                                  self.campaign(line, next(numbers)) for _ in range(rnd.randint(0, 2))]}
                              for line in rnd.sample(["cash", "withdraw", "coupon", "coin"], rnd.randint(0, 4))]
        if rnd.random() < 0.7:
            of_kind = {"cash": "cash", "activity": "withdraw", "coupon": "coupon", "link": "help"}
            page["sections"] = [{"kind": kind, "title": title(rnd), "lines": [of_kind[kind]]}
                                for kind in rnd.sample(sorted(of_kind), rnd.randint(0, 3))]
            page["sections"].append({"kind": "coin", "lines": [],
                                     "campaigns": [self.campaign("coin", next(numbers))]})
        return page

    def good(self):
        """(name, document)"""
        if self.rnd.random() < 0.05:
            found = copy.deepcopy(self.rnd.choice(self.samples))
            return ("integration" if "lines" in found else "presentation"), found
        if self.rnd.random() < 0.6:
            return "integration", self.integration()
        return "presentation", self.presentation()

    def sweep(self):
        """(name, document): every key with every value of this file, and without it; lists at their
        bounds."""
        whole = {key: rule["default"] for key, rule in self.line_rules.items() if rule.get("type") == "integer"
                 and "default" in rule}
        line = {**whole, "burst": 1, **FULL_LINE}
        many = {key: value for key, value in line.items() if key != "url"}
        bases = [{"version": 1, "lines": {"cash": line}},
                 {"version": 1, "lines": {"n": {**many, "urls": ["https://h:1/x"]}}},
                 {"version": 1, "lines": {"n": {"kind": "coupon", "url": "tcp://h:1"}}},
                 {"version": 1, "lines": {"n": {"kind": "link", "mode": "link", "url": "app://x"}}}, FULL_PAGE]
        values = TIMES + BAD_TIMES + URLS + BAD_URLS + AMOUNTS + POINTERS + IDS + WORDS + NUMBERS + OTHERS
        values += WIDE + self.enums
        numbers = [edge + step for edge in self.edges for step in (-1, 0, 1)]
        seen = set()
        for base in bases:
            name = "integration" if "lines" in base else "presentation"
            for at in range(len(list(walk(base)))):
                owner, key = next(itertools.islice(walk(base), at, None))
                odd = values if isinstance(owner[key], str) else NUMBERS + OTHERS + numbers + IDS
                for value in odd + [REMOVED] + [Times(n) for n in (0, 2, 4, 5, 8, 9, 16, 17, 64, 65)]:
                    document = copy.deepcopy(base)
                    owner, key = next(itertools.islice(walk(document), at, None))
                    put(owner, key, value)
                    text = json.dumps(document)
                    if text not in seen:
                        seen.add(text)
                        yield name, document

    # ---- values that are wrong, or just right

    def value(self):
        rnd = self.rnd
        choice = rnd.random()
        if choice < 0.35:
            return texts(rnd)
        if choice < 0.45:
            return rnd.choice(self.enums)
        if choice < 0.6:
            return rnd.choice(self.edges) + rnd.choice([-1, 0, 1])
        if choice < 0.7:
            return rnd.choice(NUMBERS)
        if choice < 0.75:
            return nested(rnd, rnd.randint(1, 20))
        if choice < 0.8:
            return [texts(rnd) for _ in range(rnd.choice([1, 2, 3, 8, 9, 64, 65]))]
        return copy.deepcopy(rnd.choice(OTHERS))

    def like(self, old):
        """Another value of the same type: most of a document stays good."""
        rnd = self.rnd
        if isinstance(old, bool):
            return not old
        if isinstance(old, (int, float)):
            return rnd.choice([old + 1, old - 1, float(old), rnd.choice(NUMBERS), rnd.choice(self.edges),
                               rnd.choice(self.edges) + 1, rnd.choice(self.edges) - 1])
        if isinstance(old, str):
            return rnd.choice([texts(rnd), texts(rnd), rnd.choice(self.enums), old + rnd.choice("a/\n \u4f59"),
                               old[:-1], ""])
        return self.value()

    def spoil(self, document):
        rnd = self.rnd
        places = list(walk(document))
        owner, key = rnd.choice(places or [(document, document.setdefault("version", 1) and "version")])
        choice = rnd.random()
        if choice < 0.45:
            owner[key] = self.like(owner[key])
        elif choice < 0.6:
            owner[key] = self.value()
        elif choice < 0.7:
            del owner[key]
        elif isinstance(owner, dict) and choice < 0.9:
            owner[rnd.choice(self.names)] = self.value()
        elif isinstance(owner, dict):
            owner[rnd.choice([key + "x", key.upper(), "", "\u4f59", "\u0000", "$schema"])] = owner.pop(key)
        else:
            owner.extend(copy.deepcopy(owner) * rnd.choice([1, 1, 5]))

    # ---- text

    def text(self, document):
        rnd = self.rnd
        return json.dumps(document, ensure_ascii=rnd.random() < 0.5,
                          indent=rnd.choice([None, None, 1])).encode("utf-8", "surrogatepass")

    def break_text(self, text):
        rnd = self.rnd
        at = rnd.randrange(len(text))
        choice = rnd.randrange(13)
        inserts = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\\", b'"', b"}", b"]", b",", b"1", b"-", b"."]
        if choice == 0:
            return text[:at]
        if choice in (1, 2):
            return text[:at] + rnd.choice(inserts) + text[at:]
        if choice == 3:
            return text[:at] + text[at + 1:]
        if choice == 4:
            return rnd.choice([b"\xef\xbb\xbf" + text, text + b" x", text + b"\n", b" " + text, b"", b" "])
        if choice == 5: # a key twice
            return re.sub(rb'("[a-z_]+"): ', rb'\1: 1, \1: ', text, count=1)
        if choice == 6:
            other = rnd.choice(
                [b"1e400", b"NaN", b"-Infinity", b"9223372036854775808", b"1" * 40, b"1e-400", b"01", b"1.",
                 b"%s.0", b"%se0", b"%s.0000000000000000000001", b"-0", b"1E2"])
            return re.sub(rb'": ([0-9]+)(?![0-9.e])',
                          lambda found: b'": ' + other.replace(b"%s", found[1]), text, count=1)
        if choice == 7:
            other = rnd.choice(
                [b"\\ud800", b"\\udc00x", b"\\ud83d\\ude00", b"\\u0000", b"\\x", b"\\u00", b"\\u007f",
                 b"\\/", b"\x7f", b"\x01"])
            at = text.find(b'": "', at) + 4
            return text[:at] + other + text[at:] if at > 3 else text[:-1]
        if choice == 8:
            return text + b" " * (102400 - len(text) + rnd.choice([0, 1]))
        if choice == 9:
            depth = rnd.choice([12, 13, 14, 40, 4000])
            return text.replace(b'"kind"', b'"sample": ' + b"[" * depth + b"]" * depth + b', "kind"', 1)
        if choice == 10:
            return text.replace(b'"', b"'", 2)
        if choice == 11:
            return rnd.choice([b"null", b"1", b'"x"', b"[]", b"{}", b"[[", b"{", b"true", b"[" * 60000])
        return bytes(rnd.choice(b'{}[]",:0123456789-eE.truefalsn \n\\/ab') if rnd.random() < 0.01 else byte
                     for byte in text)


REMOVED = object()


class Times:
    """So many of what is there."""

    def __init__(self, count):
        self.count = count


def put(owner, key, value):
    if value is REMOVED:
        del owner[key]
    elif not isinstance(value, Times):
        owner[key] = copy.deepcopy(value)
    elif isinstance(owner[key], list):
        owner[key] = (owner[key] * value.count)[:value.count]
    elif isinstance(owner[key], dict) and key == "lines":
        line = next(iter(owner[key].values()))
        owner[key] = {f"n{i}": line for i in range(value.count)}


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def shown(page):
    """The documents that a page shows."""
    blocks = re.findall(r"```json\n(.*?)```", page, re.S)
    return [found for found in map(json.loads, blocks) if "version" in found]


def walk(value):
    """Every place of a document: (owner, key or index)."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from walk(value[key])


def names(schema):
    for owner, key in walk(schema):
        if key == "properties":
            yield from owner[key]


def enums(schema):
    for owner, key in walk(schema):
        if key == "enum":
            yield from owner[key]


def edges(schema):
    for owner, key in walk(schema):
        if key in ("minimum", "maximum"):
            yield owner[key]
