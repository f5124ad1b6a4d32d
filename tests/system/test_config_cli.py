"""walletctl config against a real walletd with its directory store: every verb as an operator types
it, what it says when something is wrong, and that nothing is published that was not meant."""
import json
import os
import pty
import random
import select
import subprocess
import threading
import time

import harness

CASH = {"kind": "cash", "title": "Cash", "url": "http://127.0.0.1:9", "unit": "CNY", "scale": 2}
COIN = {"kind": "coin", "title": "Beans", "url": "tcp://127.0.0.1:9", "unit": "bean", "scale": 0}
INTEGRATION = {"lines": {"cash": CASH, "coin": COIN}}
PRESENTATION = {"golden": [{"line": "cash", "title": "Old"}, {"line": "coin"}],
                "sections": [{"kind": "cash", "title": "Cash", "lines": ["cash"]}]}
OK, REFUSED, USAGE, NOT_FOUND, CONFLICT, UNREACHABLE, CHECK_FAILED = range(7)
wallet = None


class Run:
    """One call of `walletctl config`."""

    def __init__(self, *words, env=None, writer=None):
        end = subprocess.run(command(words, writer), capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, env=environment(env))
        self.code, self.out, self.err = end.returncode, end.stdout, end.stderr
        self.words = words

    def __repr__(self):
        return f"config {' '.join(map(str, self.words))}\n-> {self.code}\n{self.out}\n{self.err}"

    def says(self, code, *words):
        """It ended so, and its words name all of these."""
        assert self.code == code, f"wanted {code}: {self}"
        for word in words:
            assert word in self.out + self.err, f"wanted {word!r}: {self}"
        return self

    def json(self, code=OK):
        assert self.code == code, f"wanted {code}: {self}"
        return json.loads(self.out)


def command(words, writer=None):
    return [str(word) for word in (wallet.bin / "walletctl", "-e", wallet.read, "-w",
                                   writer or wallet.write, "config", *words)]


def environment(more=None):
    plain = {k: v for k, v in os.environ.items()
             if k not in ("NO_COLOR", "VISUAL", "EDITOR", "TMPDIR")}
    return {**plain, "USER": "ann", "TERM": "xterm", "TMPDIR": str(wallet.folder), **(more or {})}


def terminal(*words, answer=None, env=None):
    """The same on a terminal, where "[y/N]" is answered: (exit code, all that was shown)."""
    child, master = pty.fork()
    if child == 0:
        os.execvpe(command(words)[0], command(words), environment(env))
    shown, asked = b"", False
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if answer is not None and not asked and b"[y/N]" in shown:
            os.write(master, answer.encode() + b"\n")
            asked = True
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def path(name, text):
    where = wallet.folder / name
    where.write_text(text if isinstance(text, str) else json.dumps(text, indent=1))
    return where


def live(document):
    """What everybody sees, as an operator begins with it."""
    where = wallet.folder / f"live-{document}.json"
    Run("get", document, "-o", where).says(OK)
    return json.loads(where.read_text())


def titled(title, name="mine.json"):
    document = live("presentation")
    document["golden"][0]["title"] = title
    return path(name, document)


def seq():
    return Run("status", "--json").json()["seq"]


def shown():
    client = wallet.reader()
    try:
        return client.call("wallet.golden", uid=7)["golden"][0]["title"]
    finally:
        client.close()


def publish(title):
    Run("put", titled(title), "-m", f"the title {title}", "--yes").says(OK)
    harness.until(lambda: shown() == title, 5, f"everybody sees {title}")


# ---- looking ---------------------------------------------------------------------------------------


def test_get_and_status():
    Run("status").says(OK, "1.1", "directory")
    assert Run("status", "--json").json()["seq"] == 0
    got = Run("get", "presentation")
    assert json.loads(got.says(OK).out)["golden"][0]["title"] == "Old"
    assert Run("get", "integration", "--json").json()["version"] == "1"
    where = wallet.folder / "got.json"
    assert Run("get", "integration", "-o", where).says(OK, "version 1").out == ""
    assert json.loads(where.read_text())["lines"]["cash"]["title"] == "Cash"
    Run("get").says(USAGE, "DOCUMENT")
    Run("get", "golden").says(USAGE, "integration or presentation")
    Run("get", "presentation", "--seq", "x").says(USAGE, "--seq")
    Run("get", "presentation", "--seq", "77").says(NOT_FOUND, "77")
    Run("get", "presentation", "--candidate").says(NOT_FOUND, "no rollout")
    Run("get", "presentation", "-o", "/no/such/folder/x").says(REFUSED, "/no/such/folder/x")
    nobody = f"tcp://127.0.0.1:{harness.free_port()}"
    Run("status", "--timeout", 300, writer=nobody).says(UNREACHABLE, nobody)


def test_validate():
    whole = path("whole.json", live("presentation"))
    lines = path("lines.json", live("integration"))
    wrong = live("presentation")
    wrong["golden"][0]["titel"] = "x"
    wrong = path("wrong.json", wrong)
    place = next(i for i, row in enumerate(wrong.read_text().splitlines(), 1) if "titel" in row)
    Run("validate", whole, lines).says(OK, "valid")
    Run("validate", whole).says(OK, "valid")
    Run("validate", wrong).says(CHECK_FAILED, f"wrong.json:{place}:", 'did you mean "title"')
    assert Run("validate", wrong, "--json").json(CHECK_FAILED)["line"] == place
    missing = live("presentation")
    missing["golden"][0]["line"] = "gold"
    Run("validate", path("missing.json", missing)).says(CHECK_FAILED, "golden/0/line", "gold")
    Run("validate", path("presentation-x.json", "{")).says(CHECK_FAILED, "presentation-x.json:")
    Run("validate", path("x.json", "{")).says(CHECK_FAILED, "x.json:1:")
    Run("validate", path("x.json", {"version": 1})).says(CHECK_FAILED, "no document")
    Run("validate", whole, whole).says(USAGE, "both")
    Run("validate", "/no/such").says(NOT_FOUND, "no such file")


def test_validate_local():
    """The same verdicts without any server."""
    whole = path("whole.json", live("presentation"))
    lines = path("lines.json", live("integration"))
    wrong = live("integration")
    wrong["lines"]["cash"]["scale"] = 77
    nobody = f"tcp://127.0.0.1:{harness.free_port()}"
    Run("validate", "--local", whole, lines, writer=nobody).says(OK, "valid")
    Run("validate", "--local", whole, "--config", wallet.config, writer=nobody).says(OK)
    Run("validate", "--local", path("wrong.json", wrong), whole, "--json", writer=nobody).says(
        CHECK_FAILED, "wrong.json:", "integration/lines/cash/scale")
    Run("validate", "--local", whole).says(USAGE, "--config FOLDER")
    Run("validate", "--local", whole, "--config", "/no/such").says(NOT_FOUND, "/no/such")


def test_effective_and_schema():
    Run("effective", 7).says(OK, "no rollout", "Beans")
    assert Run("effective", 2**64 - 1, "--json").json()["uid"] == str(2**64 - 1)
    Run("effective", 7, "--at", "2026-11-11T00:00:00+08:00").says(OK, "2026-11-10T16:00:00Z")
    assert Run("effective", "--uid", 7, "--json").json()["uid"] == "7"
    Run("effective").says(USAGE, "UID")
    Run("effective", 7, "--uid", 8).says(USAGE, "one user")
    Run("efective", 7).says(USAGE, 'no verb "config efective"', '"config effective"')
    Run("effective", "ann").says(USAGE, "ann")
    Run("effective", 7, "--at", "noon").says(REFUSED, "at: must be a moment")
    Run("effective", 7, "--app", "13.x").says(REFUSED, "app_version")
    Run("effective", 7, "--scene", "a", "--scene", "b").says(USAGE, "one --scene")
    assert json.loads(Run("schema", "integration").says(OK).out)["$schema"].startswith("https://")
    assert Run("schema", "presentation", "--json").json()["type"] == "object"
    Run("schema", "lines").says(USAGE, "integration or presentation")


# ---- publishing ------------------------------------------------------------------------------------


def test_put():
    before = seq()
    mine = titled("First")
    Run("put", mine).says(USAGE, "-m REASON")
    Run("put", mine, "-m", "why").says(USAGE, "--yes", "--dry-run")
    Run("put", "-m", "why").says(USAGE, "FILE")
    Run("put", "/no/such", "-m", "why", "--yes").says(NOT_FOUND, "/no/such")
    Run("put", mine, "-m", "x" * 401, "--yes").says(USAGE, "400")
    Run("put", mine, "-m", "a\nb", "--yes").says(USAGE, "control")
    Run("put", mine, "-m", "why", "--author", "x" * 65, "--yes").says(REFUSED, "author")
    wrong = json.loads(mine.read_text())
    wrong["golden"][1]["line"] = "cash"
    Run("put", path("wrong.json", wrong), "-m", "why", "--yes").says(REFUSED, "wrong.json:", "cash")
    del wrong["version"]
    Run("put", path("wrong.json", wrong), "-m", "why", "--yes").says(CONFLICT, '"version"')
    Run("put", titled("Old"), "-m", "why", "--yes").says(REFUSED, "would change nothing")
    dry = Run("put", titled("First"), "-m", "why", "--dry-run").says(OK, "would be change")
    assert '"First"' in dry.out and seq() == before and shown() == "Old"
    published = Run("put", mine, "-m", "for spring", "--yes", "--json").json()
    assert published["changes"][0]["after"] == "First", published
    harness.until(lambda: shown() == "First", 5, "everybody sees it")
    newest = Run("history", "--json").json()["changes"][0]
    assert (newest["author"], newest["reason"], newest["action"]) == ("ann", "for spring", "publish")


def test_both_documents_at_once():
    lines = live("integration")
    lines["lines"]["gift"] = {**CASH, "kind": "coupon", "title": "Gift", "unit": "", "scale": 0}
    page = live("presentation")
    page["golden"][1] = {"line": "gift"}
    alone = path("page.json", page)
    Run("put", alone, "-m", "gift", "--yes").says(REFUSED, "page.json:", "gift")
    Run("put", alone, path("lines.json", lines), "-m", "gift", "--yes").says(OK, "version")
    Run("rollback", seq() - 1, "-m", "no gift", "--yes").says(OK)


def test_two_editors():
    """Who comes second is told what to do, and that works."""
    publish("Zero")
    first, second = titled("Ann's", "ann.json"), live("presentation")
    second["sections"][0]["title"] = "Bob's"
    second = path("bob.json", second)
    both = titled("Eve's", "eve.json")
    Run("put", first, "-m", "ann", "--yes").says(OK)
    version = live("presentation")["version"]
    Run("put", second, "-m", "bob", "--yes").says(
        CONFLICT, f"is of version {version - 1}, live is {version}", "config diff")
    Run("put", second, "-m", "bob", "--yes", "--base", seq() - 1).says(CONFLICT, "config diff")
    Run("diff", second).says(OK, "changed by others meanwhile", "Bob's", "Ann's")
    merged = wallet.folder / "merged.json"
    Run("diff", second, "-o", merged).says(OK, "has both")
    Run("put", merged, "-m", "bob", "--yes").says(OK)
    page = live("presentation")
    assert (page["golden"][0]["title"], page["sections"][0]["title"]) == ("Ann's", "Bob's")
    Run("diff", both, "-o", wallet.folder / "none.json").says(CONFLICT, "1 conflict", "Eve's")
    assert not (wallet.folder / "none.json").exists()
    assert Run("diff", both, "--json").json(CONFLICT)["conflicts"] == 1


def test_race():
    """Of two that begin with the same, exactly one wins."""
    publish("Race")
    files = [titled(f"Racer {i}", f"racer{i}.json") for i in range(4)]
    ends = []
    threads = [threading.Thread(target=lambda f=f: ends.append(
        Run("put", f, "-m", "first!", "--yes"))) for f in files]
    before = seq()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(end.code for end in ends)[0] == OK, ends
    assert sum(end.code == OK for end in ends) == 1 and seq() == before + 1, ends
    assert all(end.code in (OK, REFUSED, CONFLICT) for end in ends), ends


def test_diff():
    publish("Diff")
    mine = titled("Other")
    Run("diff", mine).says(OK, "/golden/0/title", '- "Diff"', '+ "Other"')
    Run("diff", titled("Diff")).says(OK, "no difference")
    newest = seq()
    Run("diff", "--from", newest - 1, "--to", newest).says(OK, '+ "Diff"')
    assert len(Run("diff", "--from", newest - 1, "--json").json()["documents"]) == 2
    Run("diff").says(USAGE, "FILE")
    Run("diff", mine, "--from", 1).says(USAGE, "FILE")
    Run("diff", "--from", 1, "--to", 999).says(NOT_FOUND, "999")
    Run("diff", mine, "--base", 999).says(NOT_FOUND, "999")
    Run("diff", path("x.json", {**PRESENTATION, "version": 888})).says(NOT_FOUND, "--base N")
    Run("diff", mine, "--color", "pink").says(USAGE, "always, never or auto")


def test_colours():
    mine = titled("Colours")
    assert "\x1b" not in Run("diff", mine).out
    always = Run("diff", mine, "--color", "always").out
    assert "\x1b[31m" in always and "\x1b[32m" in always and "\x1b[1m" in always
    assert "\x1b" in terminal("diff", mine)[1]
    assert "\x1b[" not in terminal("diff", mine, env={"NO_COLOR": "1"})[1]
    assert "\x1b[" not in terminal("diff", mine, "--color", "never")[1]
    assert "\x1b" in terminal("diff", mine, "--color", "always", env={"NO_COLOR": "1"})[1]


def test_confirmation():
    publish("Before")
    before = seq()
    mine = titled("Asked")
    code, text = terminal("put", mine, "-m", "asked", answer="n")
    assert code == REFUSED and "/golden/0/title" in text and "nothing was published" in text, text
    assert terminal("put", mine, "-m", "asked", answer="")[0] == REFUSED
    assert seq() == before
    code, text = terminal("put", mine, "-m", "asked", answer="y")
    assert code == OK and seq() == before + 1, text
    code, text = terminal("rollback", before, "-m", "back", answer="n")
    assert code == REFUSED and "Asked" in text, text


def test_rollback_and_history():
    publish("One")
    there = seq()
    publish("Two")
    Run("rollback", there, "-m", "back").says(USAGE, "--yes")
    Run("rollback", there, "-m", "back", "--dry-run").says(OK, '+ "One"')
    assert shown() == "Two"
    Run("rollback", there, "-m", "back", "--yes").says(OK)
    harness.until(lambda: shown() == "One", 5, "it is back")
    Run("rollback", there, "-m", "back", "--yes").says(REFUSED, "would change nothing")
    Run("rollback", 999, "-m", "back", "--yes").says(NOT_FOUND, "999")
    Run("rollback", "x", "-m", "back", "--yes").says(USAGE, "number of a change")
    Run("rollback", there, "--yes").says(USAGE, "-m REASON")
    Run("rollback", "-m", "back", "--yes").says(USAGE, "SEQ")
    Run("history").says(OK, "rollback", "back", "publish", "import")
    Run("history", "--limit", 2).says(OK, "older")
    assert len(Run("history", "--limit", 2, "--before", 3, "--json").json()["changes"]) == 2
    Run("history", "--verify").says(OK, "what was written")
    assert Run("history", "--verify", "--json").json()["verified"] is True
    Run("history", "--limit", 1000).says(REFUSED, "limit")
    Run("history", "--limit", 0).says(USAGE, "--limit")
    Run("history", "--before", 0).says(REFUSED, "before")
    Run("history", "all").says(USAGE, "usage")


def test_edit():
    publish("Edit")
    before = seq()
    kept = set(wallet.folder.glob("presentation-*-*.json"))
    change = {"EDITOR": "sed -i s/Edit/Edited/"}
    Run("edit", "presentation").says(USAGE, "-m REASON")
    Run("edit", "page", "-m", "e").says(USAGE, "integration or presentation")
    Run("edit", "presentation", "-m", "e", "--base", 1).says(USAGE, "live")
    Run("edit", "presentation", "-m", "e", "--yes", env={"EDITOR": "true"}).says(OK, "nothing was")
    Run("edit", "presentation", "-m", "e", "--yes", env={"EDITOR": "false"}).says(REFUSED, "editor")
    assert set(wallet.folder.glob("presentation-*-*.json")) == kept and seq() == before
    wrong = Run("edit", "presentation", "-m", "e", "--yes", env={"EDITOR": "sed -i s/line/lune/"})
    wrong.says(REFUSED, "lune", "is kept in")
    Run("edit", "presentation", "-m", "e", env=change).says(USAGE, "--yes", "is kept in")
    copies = set(wallet.folder.glob("presentation-*-*.json")) - kept
    assert len(copies) == 2 and seq() == before, copies
    Run("edit", "presentation", "-m", "e", "--yes",
        env={**change, "VISUAL": "sed -i s/Edit/Seen/"}).says(OK, "version")
    assert live("presentation")["golden"][0]["title"] == "Seen" and seq() == before + 1


# ---- rollouts --------------------------------------------------------------------------------------


def test_rollout():
    publish("Base")
    mine = titled("Candidate")
    users = path("users.txt", "".join(f"{uid}\n" for uid in range(1, 400)))
    Run("rollout", mine, "-m", "try").says(USAGE, "--yes")
    Run("rollout", mine, "-m", "try", "--percent", "101").says(USAGE, "0 to 100")
    Run("rollout", mine, "-m", "try", "--percent", "1.234").says(USAGE, "0 to 100")
    Run("rollout", mine, "-m", "try", "--percent", 5, "--app-min", "13.x").says(REFUSED, "app_min")
    Run("rollout", mine, "-m", "try", "--whitelist", "/no/such").says(NOT_FOUND, "/no/such")
    Run("rollout", mine, "-m", "try", "--whitelist", "0" * 64).says(NOT_FOUND, "000000")
    for verb in ("pause", "resume", "promote", "abort"):
        Run(verb, "-m", "x", "--yes").says(NOT_FOUND, "no rollout")
    before = seq()
    asked = ("rollout", mine, "-m", "try", "--percent", "50", "--scene", "home", "--app-min", "13.4",
             "--whitelist", users, "--abort-percent", "2.5", "--abort-after", "100")
    Run(*asked, "--dry-run").says(OK, "would be", "50 %", "scene home", "13.4")
    assert seq() == before
    Run(*asked).says(OK, "399 users")
    rollout = Run("status", "--json").json()["rollout"]
    assert (rollout["percent"], rollout["scenes"]) == (50, ["home"]), rollout
    assert (rollout["abort_percent"], rollout["abort_replies"]) == (2.5, 100), rollout
    Run("status").says(OK, f"Rollout {rollout['id']}", "50 %")
    sees = {uid for uid in range(390, 410) if "candidate" == Run(
        "effective", uid, "--scene", "home", "--app", "13.5", "--json").json()["variant"]}
    assert sees and max(sees) < 400, sees
    Run("effective", 500, "--scene", "home", "--app", "13.5").says(OK, "does not take the user")
    assert "Candidate" in Run("get", "presentation", "--candidate").says(OK).out
    Run("put", titled("Other"), "-m", "no", "--yes").says(CONFLICT, "promote or abort")
    Run("rollout", titled("Other"), "-m", "no", "--percent", 1).says(CONFLICT, "promote or abort")
    Run("pause", rollout["id"], "-m", "wait").says(OK, "paused")
    Run("pause", "-m", "wait").says(CONFLICT, "paused already")
    Run("pause", 999, "-m", "wait").says(CONFLICT, "999")
    Run("pause", "x", "-m", "wait").says(USAGE, "number of a rollout")
    Run("resume", "-m", "on").says(OK)
    Run("widen", "-m", "more").says(USAGE, "--percent P")
    Run("widen", "-m", "more", "--percent", 60, "--scene", "x").says(USAGE, "abort it")
    Run("widen", "-m", "more", "--percent", 75).says(OK, "75 %")
    Run("promote", "-m", "all").says(USAGE, "--yes")
    Run("promote", "-m", "all", "--dry-run").says(OK, '+ "Candidate"')
    code, text = terminal("promote", "-m", "all", answer="no")
    assert code == REFUSED and "Candidate" in text, text
    Run("promote", "-m", "all", "--yes").says(OK, "everybody")
    harness.until(lambda: shown() == "Candidate", 5, "everybody sees the candidate")


def test_abort():
    publish("Safe")
    Run("rollout", titled("Risky"), "-m", "try", "--percent", 100, "--yes").says(OK, "100 %")
    harness.until(lambda: shown() == "Risky", 5, "it is shown")
    Run("abort", "-m", "risky").says(OK)
    harness.until(lambda: shown() == "Safe", 5, "it is withdrawn")
    Run("rollout", titled("Few"), "-m", "try", "--percent", 1).says(OK)
    Run("widen", "-m", "all", "--percent", 100).says(USAGE, "--yes")
    code, text = terminal("widen", "-m", "all", "--percent", 100, answer="n")
    assert code == REFUSED and "Few" in text, text
    Run("widen", "-m", "all", "--percent", 100, "--yes").says(OK, "100 %")
    Run("abort", "-m", "enough").says(OK)


def test_upload():
    users = path("some.txt", "3\n1\r\n\n 2 \n3\n")
    digest = Run("upload", users).says(OK, "3 users").out.strip()
    assert Run("upload", path("same.txt", "1\n2\n3"), "--json").json()["digest"] == digest
    Run("upload").says(USAGE, "USERS.txt")
    Run("upload", "/no/such").says(NOT_FOUND, "/no/such")
    Run("upload", path("w.txt", "1\n" * 16 + "seventeen\n")).says(
        CHECK_FAILED, "line 17: not a user id", "seventeen")
    Run("upload", path("w.txt", "1\n0\n")).says(CHECK_FAILED, "line 2")
    Run("upload", path("w.txt", "\n")).says(CHECK_FAILED, "no user in it")
    many = random.Random(5).sample(range(1, 100_000_000), 500_000)
    big = path("big.txt", "\n".join(map(str, many)))
    code, text = terminal("upload", big)
    assert code == OK and "[#" in text and "500000 users" in text, text
    assert Run("upload", big, "--json").json()["members"] == 500_000


def test_drafts():
    mine = titled("Draft")
    Run("drafts", "list").says(OK)
    Run("drafts", "save", "spring", mine).says(OK, "saved")
    Run("drafts", "list").says(OK, "spring", "presentation", "ann")
    assert Run("drafts", "list", "--json").json()["drafts"][0]["name"] == "spring"
    assert Run("drafts", "show", "spring").says(OK).out.strip() == mine.read_text().strip()
    where = wallet.folder / "draft.json"
    Run("drafts", "show", "spring", "-o", where).says(OK)
    assert where.read_text() == mine.read_text()
    Run("drafts", "save", "../x", mine).says(REFUSED, "name: must be letters")
    Run("drafts", "show", "autumn").says(NOT_FOUND, "spring")
    Run("drafts").says(USAGE, "list")
    Run("drafts", "save", "spring").says(USAGE, "save NAME FILE")
    Run("drafts", "drop", "spring").says(OK, "dropped")
    Run("drafts", "drop", "spring").says(NOT_FOUND, "spring")


def test_verify_finds_an_altered_record():
    """Last: what was altered stays so. Where the change is in, is said."""
    folders = wallet.config, wallet.folder / "data/config"  # the store, and this process's snapshot
    for record in (file for each in folders for file in each.glob("changes/*00000002*")):
        text = record.read_text()
        assert "for spring" in text, text
        os.chmod(record, 0o640)
        record.write_text(text.replace("for spring", "for autumn"))
    Run("history", "--verify").says(CHECK_FAILED, "change 2 is not what it was")
    assert Run("history", "--verify", "--json").json(CHECK_FAILED)["broken"] == 2
    Run("history").says(OK)


def main():
    global wallet
    wallet = harness.Wallet(INTEGRATION, PRESENTATION).start()
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            begun = time.monotonic()
            test()
            print(f"{name}: ok, {time.monotonic() - begun:.1f} s", flush=True)
    wallet.stop()


if __name__ == "__main__":
    main()
