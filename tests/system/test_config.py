"""Configuration mistakes are named with their place, before they do harm: --check, SIGHUP, the
start with a damaged newest version, flags, endpoints and folders that belong to somebody else."""
import copy
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import harness

CASH = {"kind": "cash", "title": "Cash", "url": "http://127.0.0.1:9", "unit": "CNY", "scale": 2}
COIN = {"kind": "coin", "title": "Beans", "url": "tcp://127.0.0.1:9", "unit": "bean", "scale": 0}
INTEGRATION = {"lines": {"cash": CASH, "coin": COIN}}
PRESENTATION = {
    "golden": [{"line": "cash", "title": "Cash one"}, {"line": "coin"}],
    "sections": [{"kind": "cash", "title": "Cash", "lines": ["cash"]},
                 {"kind": "coin", "title": "Beans", "lines": ["coin"]}],
}
WALLETD = harness.programs() / "walletd"
checked = 0


def walletd(*arguments, seconds=20, **env):
    """Runs walletd to its end."""
    return subprocess.run([str(WALLETD), *map(str, arguments)], capture_output=True, text=True,
                          timeout=seconds, stdin=subprocess.DEVNULL, env={**os.environ, **env})


def says(done, code, *words):
    global checked
    checked += 1
    assert done.returncode == code, f"exit {done.returncode}, expected {code}: {done}"
    for word in words:
        assert word in done.stderr, f"{word!r} is not in {done.stderr!r}"
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr


def documents(integration=None, presentation=None, name="config"):
    """A folder with version 1 of both; text is written as it is."""
    folder = harness.folder() / name
    folder.mkdir()
    for kind, given, default in (("integration", integration, INTEGRATION),
                                 ("presentation", presentation, PRESENTATION)):
        document = default if given is None else given
        text = document if isinstance(document, str) else json.dumps({"version": 1, **document})
        (folder / f"{kind}-1.json").write_text(text)
    return folder


def changed(document, change):
    document = copy.deepcopy(document)
    change(document)
    return document


def check(folder, *more):
    return walletd("--check", "-s", f"server.config_dir={folder}", *more)


def check_documents():
    good = check(documents())
    says(good, 0)
    assert "valid" in good.stdout and "1.1" in good.stdout, good.stdout

    pretty = json.dumps({"version": 1, **INTEGRATION}, indent=1).replace('"title": "Cash"',
                                                                        '"titel": "Cash"')
    line = next(n for n, text in enumerate(pretty.split("\n"), 1) if "titel" in text)
    says(check(documents(pretty)), 6, f"integration-1.json:{line}:", "integration/lines/cash/titel",
         'unknown key "titel"', 'did you mean "title"')

    twice = changed(PRESENTATION, lambda d: d["golden"].append({"line": "cash"}))
    says(check(documents(None, twice)), 6, "presentation-1.json:", "golden/2/line", "cash")
    says(check(documents(None, changed(PRESENTATION, lambda d: d["sections"][0].update(
        lines=["cash", "cash"])))), 6, "presentation-1.json:", "sections/0/lines")
    missing = changed(PRESENTATION, lambda d: d["golden"][1].update(line="coim"))
    says(check(documents(None, missing)), 6, "presentation-1.json:", "golden/1/line",
         'no line "coim"', 'did you mean "coin"')
    says(check(documents(None, changed(PRESENTATION, lambda d: d["sections"][1].update(
        kind="cash")))), 6, "presentation-1.json:", "sections/1")
    whole = json.dumps({"version": 1, **INTEGRATION})
    says(check(documents(whole[:len(whole) // 2])), 6, "integration-1.json:")
    says(check(documents("")), 6, "integration-1.json:")
    says(check(documents('{"version": 1, "version": 2, "lines": {}}')), 6, "integration-1.json:1:",
         "version")
    says(check(documents(b"\xff\xfe{}".decode("latin-1"))), 6, "integration-1.json:")
    says(check(documents("[" * 100)), 6, "integration-1.json:")
    says(check(documents(" " * 200000)), 6, "integration-1.json", "102400")
    for broken, words in (({"url": "http://user:pw@127.0.0.1/"}, "url"), ({"url": None}, "url"),
                          ({"url": "ftp://x"}, "url"), ({"scale": 10}, "scale"),
                          ({"scale": -1}, "scale"), ({"scale": 1.5}, "scale"),
                          ({"unit": ""}, "unit"),
                          ({"kind": "money"}, "kind"), ({"rate": 10**9}, "rate"),
                          ({"retry_base_ms": 500, "retry_max_ms": 100}, "retry_max_ms"),
                          ({"sanity": {"amount_max": 5}}, "amount_max"),
                          ({"batch_max": 0}, "batch_max"), ({"versions": 1}, "versions")):
        document = changed(INTEGRATION, lambda d: d["lines"]["cash"].update(broken))
        says(check(documents(document)), 6, "integration-1.json", "integration/lines/cash", words)
    says(check(documents(changed(INTEGRATION, lambda d: d["lines"].update({"CASH": CASH})))), 6,
         "integration-1.json:", "CASH")
    empty = harness.folder() / "nothing"
    empty.mkdir()
    says(check(empty), 6, "nothing", "integration-<N>.json")
    says(check(empty / "no-such-folder"), 6, "no-such-folder")
    # One bad version beside a good one is still a failed check: --check is for before the rollout.
    folder = documents()
    (folder / "integration-2.json").write_text('{"version": 2')
    says(check(folder), 6, "integration-2.json:")


def check_settings():
    folder = documents()
    file = folder / "walletd.ini"

    def ini(text):
        file.write_text(text)
        return check(folder, "-c", file)
    says(ini("# comment\n[frontend]\nrequests_max = 100\n"), 0)
    says(ini("[frontend]\n; comment\nreqests_max = 100\n"), 6, "walletd.ini:3:", "reqests_max",
         "requests_max")
    says(ini("[frontend]\nrequests_max = many\n"), 6, "walletd.ini:2:", "requests_max", "many")
    says(ini("[frontend]\nrequests_max = 1\n"), 6, "walletd.ini:2:", "requests_max", "16")
    says(ini("[frontned]\nrequests_max = 100\n"), 6, "walletd.ini:2:", "frontned")
    says(ini("[server]\nlog_level = loud\n"), 6, "walletd.ini:2:", "log_level", "warn")
    says(ini("[server]\nallow_plaintext = perhaps\n"), 6, "walletd.ini:2:", "allow_plaintext")
    says(ini("no section at all\n"), 6, "walletd.ini:1")
    says(check(folder, "-c", folder / "no-such.ini"), 6, "no-such.ini")
    says(check(folder, "-s", "frontend.requests_mx=100"), 6, "requests_mx", "requests_max")
    says(check(folder, "-s", "frontend"), 6, "frontend")
    says(walletd("--check", "-s", f"server.config_dir={folder}", WALLET_FRONTEND_REQUESTS_MAX="x"),
         6, "requests_max")
    # Flags are stronger than the environment, which is stronger than the file.
    file.write_text("[frontend]\nendpoint = nonsense\n")
    says(check(folder, "-c", file), 6, "nonsense")
    says(check(folder, "-c", file, "-s", "frontend.endpoint=tcp://127.0.0.1:7700"), 0)
    says(walletd("--check", "-c", file, "-s", f"server.config_dir={folder}",
                 WALLET_FRONTEND_ENDPOINT="tcp://127.0.0.1:7700"), 0)
    says(check(folder, "-s", "frontend.endpoint=tcp://127.0.0.1:7701"), 6, "7701", "twice")
    says(check(folder, "-s", "frontend.endpoint="), 6, "frontend.endpoint")
    # Without CURVE nobody serves the world by accident.
    says(check(folder, "-s", "frontend.endpoint=tcp://0.0.0.0:7700"), 6, "0.0.0.0",
         "allow_plaintext")
    says(check(folder, "-s", "intake.subscribe=tcp://*:7702"), 6, "intake.subscribe",
         "allow_plaintext")
    says(check(folder, "-s", "frontend.endpoint=tcp://0.0.0.0:7700", "-s",
               "server.allow_plaintext=yes"), 0)


def check_flags():
    says(walletd("--frobnicate"), 2, "frobnicate", "usage:")
    says(walletd("-c"), 2, "usage:")
    says(walletd("serve"), 2, "serve", "usage:")
    for flag, words in (("--version", "walletd"), ("--help", "usage:"),
                        ("--settings", "[frontend]")):
        done = walletd(flag)
        says(done, 0)
        assert words in done.stdout, done.stdout[:200]
    settings = harness.folder() / "all.ini"
    settings.write_text(walletd("--settings").stdout)
    says(check(documents(), "-c", settings), 0)  # what it prints, it takes


def refused_start(*assignments, code=1):
    """A start that must fail by itself within seconds."""
    flags = [word for assignment in assignments for word in ("-s", assignment)]
    begun = time.monotonic()
    done = walletd(*flags)
    assert time.monotonic() - begun < 10, "the refusal took too long"
    assert done.returncode == code, done
    return done


def quiet_wallet(**settings):
    return harness.Wallet(INTEGRATION, PRESENTATION, **settings)


def check_starts():
    wallet = quiet_wallet()
    settings = dict(wallet.settings)
    wallet.start()
    own = {"server.data_dir": harness.folder() / "data",
           "frontend.endpoint": f"tcp://127.0.0.1:{harness.free_port()}",
           "intake.endpoint": f"tcp://127.0.0.1:{harness.free_port()}",
           "intake.subscribe": f"tcp://127.0.0.1:{harness.free_port()}"}

    def second(code=1, **other):
        words = {**settings, **own, **{k.replace("__", "."): v for k, v in other.items()}}
        return refused_start(*(f"{key}={value}" for key, value in words.items()), code=code)
    says(second(server__data_dir=settings["server.data_dir"]), 1, str(settings["server.data_dir"]),
         "in use by another walletd")
    for key in ("frontend.endpoint", "intake.endpoint", "intake.subscribe"):
        says(second(**{key.replace(".", "__"): settings[key]}), 1, key, settings[key], "in use")
    says(second(code=2, frontend__endpoint="tcp://0.0.0.0:7700"), 2, "0.0.0.0", "allow_plaintext")
    says(second(code=2, frontend__endpoint="udp://127.0.0.1:7700"), 2, "udp://")
    says(second(code=2, frontend__endpoint="tcp://127.0.0.1:99999"), 2, "frontend.endpoint",
         "65535")
    says(second(frontend__endpoint="tcp://no-such-host.invalid:7700",
                server__allow_plaintext="yes"), 1, "frontend.endpoint", "no-such-host.invalid")
    blocked = harness.folder() / "file"
    blocked.write_text("not a folder")
    says(second(server__data_dir=blocked / "data"), 1, "server.data_dir", str(blocked))
    says(second(server__config_dir=blocked.parent), 1, "integration-<N>.json")
    # None of this disturbed the first one.
    reader = wallet.reader()
    assert reader.call("sys.info")["state"] == "ready"
    wallet.stop()
    # The same port again at once, and the lock of a killed process is no obstacle.
    wallet.start()
    wallet.kill()
    wallet.start()
    wallet.stop()


class Reloads:
    def __init__(self, wallet):
        self.wallet = wallet
        self.reader = wallet.reader()

    def version(self):
        return self.reader.call("sys.info")["config_version"]

    def title(self):
        return self.reader.call("wallet.home", uid=1)["golden"][0]["title"]

    def hup(self):
        self.wallet.process.send_signal(signal.SIGHUP)

    def expect(self, version, title):
        harness.until(lambda: self.version() == version, 10,
                      f"config {version} is live, not {self.version()}")
        assert self.title() == title, self.title()
        assert self.reader.call("wallet.home", uid=1)["config_version"] == version

    def kept(self, version, title, refused):
        """The newest file is refused: logged, counted, and the old version answers."""
        counted = self.wallet.counter("config_refused")
        self.hup()
        harness.until(lambda: self.wallet.counter("config_refused") > counted, 10,
                      "the refusal is counted")
        log = self.wallet.log.read_text()
        assert "config_refused" in log and refused in log, self.wallet.tail()
        self.expect(version, title)


def with_title(title):
    return changed(PRESENTATION, lambda d: d["golden"][0].update(title=title))


def check_reloads():
    wallet = quiet_wallet().start()
    live = Reloads(wallet)
    live.expect("1.1", "Cash one")
    wallet.put("presentation", with_title("Cash two"))
    assert live.title() == "Cash one", "a file alone changes nothing before SIGHUP"
    live.hup()
    live.expect("1.2", "Cash two")
    live.hup()  # nothing new
    live.expect("1.2", "Cash two")
    whole = json.dumps({"version": 3, **with_title("Cash three")})
    path = wallet.put("presentation", whole[:-40])
    live.kept("1.2", "Cash two", path.name)
    path.write_text(whole)  # it was only half copied
    live.hup()
    live.expect("1.3", "Cash three")
    path = wallet.put("integration", changed(INTEGRATION, lambda d: d["lines"].pop("coin")))
    live.kept("1.3", "Cash three", "no line")
    path.unlink()
    path = wallet.put("integration", " " * 200000)
    live.kept("1.3", "Cash three", path.name)
    path.unlink()
    path = wallet.config / "presentation-9.json"
    path.mkdir()
    live.kept("1.3", "Cash three", path.name)
    path.rmdir()
    wallet.versions["integration"] = 9
    lines = changed(INTEGRATION, lambda d: d["lines"].update(
        gift={"kind": "activity", "url": "http://127.0.0.1:9", "unit": "CNY", "scale": 2}))
    wallet.put("integration", lines)
    live.hup()
    live.expect("10.3", "Cash three")
    writer = wallet.writer()
    assert writer.call("notify.changed", line="gift", changes=[{"uid": 5}])["accepted"] == 1
    for _ in range(50):  # a nervous operator
        live.hup()
    live.expect("10.3", "Cash three")
    wallet.stop()

    # A start finds the newest version that is whole.
    wallet.put("presentation", '{"version": 4, "golden": [')
    wallet.put("integration", "")
    wallet.put("integration", " " * 200000)
    wallet.start()
    live = Reloads(wallet)
    live.expect("10.3", "Cash three")
    log = wallet.log.read_text()
    for name in ("presentation-4.json", "integration-11.json", "integration-12.json"):
        assert name in log, f"{name} is not named in the log"
    wallet.stop()
    # Nothing valid at all: it does not start, and says why.
    for path in pathlib.Path(wallet.config).glob("presentation-*.json"):
        path.write_text("{")
    done = refused_start(*(f"{key}={value}" for key, value in wallet.settings.items()))
    says(done, 1, "presentation-")


def main():
    check_documents()
    check_settings()
    check_flags()
    check_starts()
    check_reloads()
    harness.passed("config", refusals=checked)


if __name__ == "__main__":
    sys.exit(main())
