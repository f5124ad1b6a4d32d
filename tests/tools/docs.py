"""Keeps the generated parts of the documents equal to the tables in the code.

A document holds   <!-- generated: NAME -->  ...  <!-- end -->   where NAME is a section of
`wl_docgen`. `--write` replaces what stands between, `--check` fails when it differs and also checks
that relative links and named files exist.

usage: tests/tools/docs.py --check | --write
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.S)


def docgen(name):
    for folder in (os.environ.get("WALLET_TEST_SANITIZED"), "build/asan-ubsan/bin", "build/bin"):
        program = ROOT / folder / "wl_docgen" if folder else None
        if program and program.exists():
            return subprocess.run([program, name], check=True, capture_output=True,
                                  text=True).stdout
    sys.exit("wl_docgen is not built")


def documents():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    return [ROOT / path for path in listed if (ROOT / path).exists()]


def broken_links(path, text):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
            yield f"{path.relative_to(ROOT)}: link to {target}, which does not exist"


def main():
    write = sys.argv[1:] == ["--write"]
    if not write and sys.argv[1:] != ["--check"]:
        sys.exit(__doc__)
    problems = []
    for path in documents():
        text = path.read_text()
        fresh = BLOCK.sub(lambda m: m.group(1) + docgen(m.group(2)) + m.group(3), text)
        if fresh != text and write:
            path.write_text(fresh)
        elif fresh != text:
            problems.append(f"{path.relative_to(ROOT)}: generated part is old; run "
                            "tests/tools/docs.py --write")
        problems += broken_links(path, fresh)
    print(*problems, sep="\n")
    print(f"docs: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
