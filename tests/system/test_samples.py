"""Every sample in conf/ is valid, with keys and passwords made as docs/OPERATING.md says."""
import os
import subprocess
import sys

import harness


def main():
    folder = harness.folder()
    clients = folder / "clients"
    clients.mkdir()
    walletctl = harness.programs("release") / "walletctl"
    subprocess.run([walletctl, "keys", "new", "server", "--scope", "peer", "--dir", folder],
                   check=True, stdout=subprocess.DEVNULL)
    (clients / "server.key").write_text((folder / "server.key").read_text())
    password = folder / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    files = {"curve.key_file": folder / "server.key_secret", "curve.clients": clients,
             "curve.server_key": folder / "server.key", "redis.password_file": password,
             "shard.password_file": password}
    samples = sorted((harness.ROOT / "conf").glob("*.ini"))
    assert len(samples) >= 5, samples
    for sample in samples:
        text = sample.read_text()
        words = [harness.programs("release") / "walletd", "--check", "-c", sample]
        section = ""
        for row in text.splitlines():
            section = row.strip("[]") if row.startswith("[") else section
            key = f"{section}.{row.split('=')[0].strip()}"
            if key in files and not row.startswith("#") and row.partition("=")[2].strip():
                words += ["-s", f"{key}={files[key]}"]
        done = subprocess.run(words, cwd=harness.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (sample, done.stderr)
    harness.passed("samples", samples=len(samples))


if __name__ == "__main__":
    os.chdir(harness.ROOT)
    sys.exit(main())
