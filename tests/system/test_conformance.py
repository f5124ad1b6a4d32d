"""The vectors of tests/vectors against a real walletd: from Python, then from Node, then the example
clients and walletctl over the same data."""
import json
import os
import shutil
import subprocess
import sys

import conformance
import harness

VECTORS = harness.ROOT / "tests" / "vectors"
FILES = [VECTORS / f"{name}.json" for name in ("reads", "encodings", "errors", "writes")]
NODE = harness.ROOT / "examples" / "node"


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=120, **more)
    assert done.returncode == 0, (words, done.stdout[-4000:], done.stderr[-4000:])
    return done.stdout


run(sys.executable, VECTORS / "generate.py", "--check")
configuration = json.loads((VECTORS / "dataset.json").read_text())["configuration"]
wallet = harness.Wallet(configuration["integration"], configuration["presentation"]).start()
endpoints = {"reader": wallet.read, "writer": wallet.write}
conformance.setup(endpoints, VECTORS / "dataset.json")
failed = sum(conformance.run(endpoints, path) for path in FILES)
wallet.wait_quiet()
assert failed == 0, f"{failed} vectors do not hold"

node = shutil.which("node")
with_node = node is not None and (NODE / "node_modules").is_dir()
if with_node:
    run(node, harness.ROOT / "tests/system/conformance.mjs", wallet.read, wallet.write, *FILES)
    wallet.wait_quiet()
    assert "12.50 CNY" in run(node, NODE / "wallet.mjs", "-e", wallet.read, 1001)
else:
    assert os.environ.get("WALLET_TEST_SANITIZED") is None, "examples/node: npm ci is missing"
    print("without Node: examples/node has no node_modules")
python = harness.ROOT / "examples" / "python" / "wallet.py"
assert "12.50 CNY" in run(sys.executable, python, "-e", wallet.read, 1001)
environment = {**os.environ, "WALLETCTL_ENDPOINT": wallet.read, "WALLETCTL_WRITER": wallet.write}
walletctl = harness.programs() / "walletctl"
assert "12.50 CNY" in run(walletctl, "home", 1001, env=environment)
for verb in ("lines", "queue", "dlq list", "presence stats", "stats", "info", "ping"):
    json.loads(run(walletctl, "--json", *verb.split(), env=environment))
    assert run(walletctl, *verb.split(), env=environment)
wallet.stop()
harness.passed("conformance", vectors=sum(len(json.loads(path.read_text())["vectors"])
                                          for path in FILES), node=with_node)
