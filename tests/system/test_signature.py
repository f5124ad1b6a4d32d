"""Requests to lines are signed: a line that checks the signature serves walletd when both hold the
same key, over HTTP and ZeroMQ, refuses everything when they do not, and a replaced key file is taken
without a restart."""
import sys

import harness

LINES = {"cash": "kind=cash,unit=CNY,scale=2,http", "coin": "kind=coin,unit=bean,scale=0,zmq"}


def unsigned(lines, judge=sum):
    return judge(line["unsigned"] for line in lines.stats()["lines"].values())


def main():
    keys = harness.folder()
    (keys / "demo").write_text("correct horse battery staple\n")
    wallet = harness.Wallet({"lines": {}}, {"golden": [], "sections": []},
                            server__secrets_dir=keys)
    lines = harness.LineSim(wallet, LINES, 500, owners=0, secret_file=keys / "demo")
    config = {
        "cash": harness.line_config("cash", lines.urls["cash"], secret="demo"),
        "coin": harness.line_config("coin", lines.urls["coin"], unit="bean", scale=0, secret="demo"),
    }
    for line in config.values():
        line.update(retry_base_ms=100, retry_max_ms=500, attempts_max=60)
    wallet.put("integration", {"lines": config})
    wallet.put("presentation", harness.pages(config))
    wallet.start()
    lines.start()
    lines.burst(500)
    harness.until(lambda: lines.stats()["idle"] and lines.stats()["changes"] >= 500, 20, "told")
    wallet.wait_quiet(30)
    assert unsigned(lines) == 0
    harness.until(lambda: wallet.counter("store_assets") > 0, 5, "something was stored")

    (keys / "demo").write_text("another key\n")
    harness.until(lambda: lines.burst(10) or unsigned(lines, min) > 0, 20,
                  "the new key is used and refused by both", step=1.0)
    reader = wallet.reader()
    harness.until(lambda: set(reader.call("wallet.home", uid=1)["degraded"]) == set(LINES), 20,
                  "both lines are named as degraded")
    (keys / "demo").write_text("correct horse battery staple\n")
    harness.until(lambda: lines.stats()["idle"], 20, "told")
    wallet.wait_quiet(60)
    assert reader.call("wallet.home", uid=1)["degraded"] == []
    refused = unsigned(lines)
    wallet.stop()
    lines.stop()
    harness.passed("signature", refused=refused)


if __name__ == "__main__":
    sys.exit(main())
