"""The JSON Schemas of the documents and walletd give the same verdict: 10,000 documents at random, good
ones and spoilt ones, and every key with every odd value go to wl_confcheck and to python3-jsonschema."""
import collections
import importlib.metadata
import json
import os
import random
import subprocess
import sys

import jsonschema

import config_documents
import harness

COUNT = int(os.environ.get("WALLET_TEST_DOCUMENTS", "10000"))
SEED = int(os.environ.get("WALLET_TEST_SEED", "20261111"))
BYTES_MAX, DEPTH_MAX = 102400, 16


class Unreadable(Exception):
    """What no schema sees: config_json_schema.h lists it."""


def once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a key twice")
    return found


def whole(text):
    number = int(text)
    if not -2**63 <= number < 2**63:
        raise Unreadable("beyond 64 bits")
    return number


def real(text):
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise Unreadable("beyond 64 bits")
    return number


def constant(text):
    raise Unreadable(text)


def depth(value):
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(depth, below), default=0)


def parse(text):
    """The document, or Unreadable: the text is none."""
    if len(text) > BYTES_MAX:
        raise Unreadable("too long")
    try:
        decoded = text.decode()
        found = json.loads(decoded, object_pairs_hook=once, parse_int=whole, parse_float=real,
                           parse_constant=constant)
        json.dumps(found, ensure_ascii=False).encode() # no half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    return found


def ask(texts, folder):
    """Verdicts of walletd, in order; lines go with an empty page, pages with the lines of the demo."""
    page = folder / "page.json"
    page.write_text('{"version": 1}')
    asked = b"".join(b"%s %d\n%s" % (name.encode(), len(text), text) for name, text in texts)
    (folder / "documents").write_bytes(asked)
    with open(folder / "documents", "rb") as stdin:
        lines = harness.ROOT / "conf/config/integration-1.json"
        done = subprocess.run([harness.programs() / "wl_confcheck", lines, page], stdin=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    verdicts = [json.loads(row) for row in done.stdout.splitlines()]
    assert len(verdicts) == len(texts), (len(verdicts), len(texts))
    return verdicts


def schemas():
    found = {}
    for name in ("integration", "presentation"):
        text = subprocess.run([harness.programs() / "wl_docgen", f"{name}-schema"], check=True,
                              capture_output=True).stdout
        found[name] = json.loads(text)
        jsonschema.Draft202012Validator.check_schema(found[name])
    return found


def make(documents):
    name, document = documents.good()
    rnd = documents.rnd
    for _ in range(rnd.choice([0, 1, 1, 1, 1, 2, 3])):
        documents.spoil(document)
    text = documents.text(document)
    return name, documents.break_text(text) if rnd.random() < 0.2 else text


def judge(validators, name, text):
    """ok, schema, or why the text is none."""
    try:
        document = parse(text)
    except Unreadable:
        return "text"
    assert depth(document) <= DEPTH_MAX or not validators[name].is_valid(document), text
    return "ok" if validators[name].is_valid(document) else "schema"


def key_of(where):
    """integration/lines/*/rate, whatever the line is called"""
    words = where.split("/")
    if words[1:2] == ["lines"] and len(words) > 2:
        words[2] = "*"
    return "/".join("*" if word.isdigit() else word for word in words)


def check_spread(found, validators, refused):
    """The documents say something: enough of each verdict, and every key was refused by itself."""
    for stage in ("ok", "schema", "text", "rules"):
        assert found[stage] > COUNT // 100, found
    assert found["ok"] + found["rules"] > COUNT // 5, found
    lines = validators["integration"].schema["properties"]["lines"]["additionalProperties"]["properties"]
    free = {"sample"} # any JSON will do; links have none
    missed = [key for key in lines if f"integration/lines/*/{key}" not in refused and key not in free]
    assert not missed, missed


def main():
    version = importlib.metadata.version("jsonschema")
    assert int(version.split(".")[0]) >= 4, f"python3-jsonschema {version} does not know 2020-12"
    both = schemas()
    validators = {name: jsonschema.Draft202012Validator(schema) for name, schema in both.items()}
    documents = config_documents.Documents(random.Random(SEED), both["integration"], both["presentation"])
    for document in documents.samples:
        name = "integration" if "lines" in document else "presentation"
        assert validators[name].is_valid(document), document
    texts = [make(documents) for _ in range(COUNT)]
    swept = [(name, documents.text(document)) for name, document in documents.sweep()]
    texts += swept
    found, differences, refused = collections.Counter(), [], set()
    for (name, text), verdict in zip(texts, ask(texts, harness.folder())):
        theirs = judge(validators, name, text)
        accepted = verdict["stage"] != "schema"
        found[theirs if theirs != "ok" else verdict["stage"]] += 1
        if theirs == "schema" and not accepted:
            refused.add(key_of(verdict["where"]))
        if accepted != (theirs == "ok"):
            differences.append((name, text, verdict, theirs))
    for difference in differences[:10]:
        print(*difference, sep="\n  ")
    assert not differences, f"{len(differences)} of {len(texts)} documents, seed {SEED}"
    check_spread(found, validators, refused)
    harness.passed("config_schema", documents=COUNT, swept=len(swept), seed=SEED, differences=0,
                   jsonschema=version, **found)


if __name__ == "__main__":
    os.chdir(harness.ROOT)
    sys.exit(main())
