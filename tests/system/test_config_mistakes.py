"""walletctl config when an operator mistakes something: an option that belongs to another verb, a
file that is none, a history that was tampered with. Nothing is published by any of it."""
import json
import os
import signal
import subprocess

import harness

LINE = {"kind": "cash", "title": "Cash", "url": "http://127.0.0.1:9", "unit": "CNY", "scale": 2}
INTEGRATION = {"lines": {"cash": LINE}}
PRESENTATION = {"golden": [{"line": "cash", "title": "Old"}],
                "sections": [{"kind": "cash", "title": "Cash", "lines": ["cash"]}]}
OK, REFUSED, USAGE, NOT_FOUND, CONFLICT, UNREACHABLE, CHECK_FAILED = range(7)

wallet = harness.Wallet(INTEGRATION, PRESENTATION).start()
clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "VISUAL", "EDITOR")}


def run(*words, code, says=()):
    """`walletctl WORDS` ends with the code; all of `says` is in its words."""
    command = [wallet.bin / "walletctl", "-e", wallet.read, "-w", wallet.write, *words]
    end = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, env={**clean, "USER": "ann"})
    assert end.returncode == code, (words, end)
    for word in says:
        assert word in end.stdout + end.stderr, (word, end)
    return end


def config(*words, code, says=()):
    return run("config", *words, code=code, says=says)


def file(name, content):
    path = wallet.folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def seq():
    return json.loads(config("status", "--json", code=OK).stdout)["seq"]


new = {"version": 1, **json.loads(json.dumps(PRESENTATION))}
new["golden"][0]["title"] = "New"
page = file("page.json", new)

# An option of another verb is never dropped in silence: these would reach everybody.
for option in (("--percent", 5), ("--whitelist", page), ("--scene", "home"), ("--app-min", "13.4"),
               ("--app-max", "13.4"), ("--abort-percent", 1), ("--abort-after", 100)):
    config("put", page, "-m", "x", "--yes", *option, code=USAGE,
           says=(f"takes no {option[0]}", "config rollout"))
config("put", page, "-m", "x", "--yes", "-o", "out.json", code=USAGE, says=("takes no -o",))
config("put", page, "-m", "x", "--yes", "--verify", code=USAGE, says=("config history",))
config("upload", page, "--dry-run", code=USAGE, says=("takes no --dry-run",))
config("validate", page, "--base", 1, code=USAGE, says=("takes no --base",))
config("status", "--yes", code=USAGE)
run("ping", "--dry-run", code=USAGE, says=("ping takes no --dry-run",))
assert seq() == 0, "something was published"

# Files: what is wrong is said of the file, not of its version.
broken = file("presentation-broken.json", '{\n "golden": [,]}')
for verb in (("put", "--yes"), ("rollout", "--percent", 5)):
    config(verb[0], broken, "-m", "x", *verb[1:], code=REFUSED, says=("presentation-broken.json:2:",))
config("put", file("integration-mark.json", b"\xef\xbb\xbf{}"), "-m", "x", "--yes", code=REFUSED,
       says=("integration-mark.json:1:1",))
large = file("large.json", {"version": 1, "lines": {}, "x": "y" * 300000})
config("validate", large, code=CHECK_FAILED, says=("at most 102400 bytes",))
config("put", large, "-m", "x", "--yes", code=CHECK_FAILED, says=("at most 102400 bytes",))
config("upload", file("marked.txt", b"\xef\xbb\xbf1\r\n2\r\n"), code=OK, says=("2 users",))
lines = {"version": 1, "lines": {"cash": {**LINE, "sample": {"x": 1}}}}
sample = file("sample.json", json.dumps(lines, indent=1))
row = next(i for i, text in enumerate(sample.read_text().splitlines(), 1) if "sample" in text)
for words in ((sample,), (sample, page, "--local")):
    config("validate", *words, code=CHECK_FAILED, says=(f"sample.json:{row}:", "cash/sample"))
assert seq() == 0, "something was published"

# The history.
config("put", page, "-m", "right", "--yes", code=OK)
config("history", "--verify", code=OK, says=("what was written",))
wallet.process.send_signal(signal.SIGSTOP)  # one that is altered alone would be put back
for folder in (wallet.config, wallet.folder / "data" / "config"):
    record = folder / "changes" / "00000002.json"
    text = record.read_text()
    assert text.count("right") == 1, text
    record.chmod(0o644)
    record.write_text(text.replace("right", "wrong"))
wallet.process.send_signal(signal.SIGCONT)
config("history", "--verify", code=CHECK_FAILED, says=("change 2", "altered"))
assert json.loads(config("history", "--verify", "--json", code=CHECK_FAILED).stdout)["verified"] is False

wallet.stop()
print("ok")
