"""A rollout whose candidate fails is withdrawn by itself, everywhere: because its replies fail more often
than those of the base, or because a line that only it has is sick. A line that fails for everybody is no
reason, and neither is a rollout that is paused."""
import json
import time

import harness

USERS = 400
LINES = {line: "kind=coin,unit=bean,scale=0,http" for line in ("old", "new")}


def line(sim, name, **more):
    return harness.line_config("coin", sim.urls[name], "bean", 0, details=True,
                               details_fresh_ms=0, **more)


class Trial:
    def __init__(self):
        empty = {"lines": {}}, {"golden": [], "sections": []}
        here = harness.Wallet(*empty, server__name="here")
        there = harness.Wallet(*empty, server__name="there", server__config_dir=here.config)
        self.nodes = [here, there]
        self.sim = harness.LineSim(self.nodes[0], LINES, USERS, owners=1, keep=True)
        base = {"old": line(self.sim, "old")}
        here.put("integration", {"lines": base})
        here.put("presentation", harness.pages(base))
        here.start()
        there.start()
        self.sim.start()
        self.admin = self.nodes[0].writer()
        self.readers = [node.reader() for node in self.nodes]

    def status(self):
        return self.admin.call("admin.config.status")

    def roll_out(self, reason, **conditions):
        """The candidate has one line more. Returns the rollout's id."""
        lines = {"old": line(self.sim, "old"), "new": line(self.sim, "new")}
        done = self.admin.call("admin.config.rollout", base=self.status()["seq"], author="ann",
                               reason=reason, percent=50,
                               integration=json.dumps({"version": 1, "lines": lines}),
                               presentation=json.dumps({"version": 1, **harness.pages(lines)}),
                               **conditions)
        self.wait_live(done["seq"])
        number = done["rollout"]["id"]
        assert all(self.rollout(reader) == number for reader in self.readers)
        return number

    def steer(self, action, rollout):
        done = self.admin.call("admin.config.steer", action=action, rollout=rollout, author="ann",
                               reason="by hand", base=self.status()["seq"])
        self.wait_live(done["seq"])

    def wait_live(self, seq):
        harness.until(lambda: all(reader.call("sys.info")["config_seq"] >= seq
                                  for reader in self.readers), 10, "both nodes have the change")

    @staticmethod
    def rollout(reader):
        """Its id, 0 = none."""
        return reader.call("sys.info")["rollout"]

    def ask(self, name):
        """Every user's details of one line; returns the codes of the errors."""
        found = []
        for uid in range(1, USERS + 1):
            try:
                self.readers[uid % 2].call("wallet.details", uid=uid, line=name)
            except harness.Error as error:
                found.append(error.code)
        return found

    def withdrawn(self, number, seconds):
        harness.until(lambda: self.rollout(self.readers[0]) != number, seconds, "it is withdrawn")
        harness.until(lambda: self.rollout(self.readers[1]) == 0, 5, "the other node follows")
        assert self.rollout(self.readers[0]) == 0
        newest = self.admin.call("admin.config.history", limit=1)["changes"][0]
        assert (newest["action"], newest["author"]) == ("abort", "walletd"), newest
        return newest["reason"]

    def wait_counted(self, aborted):
        harness.until(lambda: sum(node.counter("config_aborted") for node in self.nodes) >= aborted,
                      10, f"{aborted} counted")

    def close(self):
        for client in (self.admin, *self.readers):
            client.close()
        self.sim.stop()
        for node in self.nodes:
            node.stop()


def errors_of_all(trial):
    """Base and candidate fail alike: it goes on."""
    number = trial.roll_out("all", abort_percent=5, abort_replies=50)
    trial.sim.fault("old", "error")
    codes = trial.ask("old")
    assert len(codes) > USERS * 0.9 and set(codes) == {"unavailable"}, codes
    harness.until(lambda: trial.status()["trial"]["candidate_errors"] > 50, 10, "they are counted")
    time.sleep(2)  # longer than a look at the trial takes
    assert trial.rollout(trial.readers[0]) == number, trial.status()
    trial.sim.fault("old", "none")
    trial.steer("abort", number)
    assert not any(trial.rollout(reader) for reader in trial.readers)


def errors_of_the_candidate(trial):
    trial.sim.fault("new", "error")
    number = trial.roll_out("errors", abort_percent=5, abort_replies=50)
    trial.steer("pause", number)
    assert set(trial.ask("new")) == {"not_found"}, "a paused rollout is shown to nobody"
    trial.steer("resume", number)
    codes = trial.ask("new")
    assert codes.count("unavailable") > 100 and set(codes) == {"unavailable", "not_found"}, codes
    assert "replies of the candidate" in trial.withdrawn(number, 10)
    trial.wait_counted(1)
    assert set(trial.ask("new")) == {"not_found"}, "everybody has the base"


def line_of_the_candidate(trial):
    number = trial.roll_out("sick", abort_percent=5, abort_replies=1000000)
    writer = trial.nodes[0].writer()
    for uid in range(1, 20):
        harness.again(lambda: writer.call("notify.changed", line="new", changes=[{"uid": uid}]))
    writer.close()
    assert "line new" in trial.withdrawn(number, 40)
    trial.wait_counted(2)


def main():
    trial = Trial()
    errors_of_all(trial)
    errors_of_the_candidate(trial)
    line_of_the_candidate(trial)
    assert trial.admin.call("admin.config.history", limit=1, verify=True)["verified"] is True
    trial.close()
    harness.passed("config_trial")


if __name__ == "__main__":
    main()
