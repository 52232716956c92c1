#!/usr/bin/env python3
"""Says what the programs and packages for routers weigh, and fails when one is over its budget:

    size.py PROGRAMS PACKAGES BUDGET DOCUMENT

PROGRAMS has a directory for each architecture of OpenWrt with `switchboard` and `switchboard-cgi` (`make cross`), PACKAGES
the .ipk files, if they were made (`make package`). BUDGET has lines `ARCHITECTURE WHAT BYTES`: what is compressed as `gzip -9`
does it, because flash is. The table in DOCUMENT is written anew; rows of architectures that were not built stay.
"""

import gzip
import io
import lzma
import re
import sys
import tarfile
from pathlib import Path

BEGIN, END = "<!-- from here on written by `make size` -->", "<!-- until here -->"
HEAD = """| architecture | what | bytes | gzip -9 | xz -9e | budget |
|---|---|---:|---:|---:|---:|
"""


def zipped(data):
    return len(gzip.compress(data, 9, mtime=0))


def without_web_files(package):
    """What an .ipk would have in bytes without the files of the web server."""
    with tarfile.open(package) as outer:
        size = sum(member.size for member in outer if member.name != "./data.tar.gz")
        data = outer.extractfile("./data.tar.gz").read()
    kept = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as inner, tarfile.open(fileobj=kept, mode="w") as out:
        for member in inner:
            if not member.name.startswith("./www/"):
                out.addfile(member, inner.extractfile(member) if member.isreg() else None)
    return size + zipped(kept.getvalue())


def measured(programs, packages):
    """Rows: architecture, what, bytes, with gzip, with xz."""
    for directory in sorted(path for path in programs.iterdir() if path.is_dir()):
        arch = directory.name
        for name, what in [("switchboard", "daemon"), ("switchboard-cgi", "CGI program")]:
            data = (directory / name).read_bytes()
            yield arch, what, len(data), zipped(data), len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
        for package in packages.glob(f"switchboard_*_{arch}.ipk"):
            whole = package.stat().st_size
            yield arch, "package", whole, whole, None
            yield arch, "package without web files", None, without_web_files(package), None


def budget(path):
    limits = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"(\S+) (.+) (\d+)", line.split("#")[0].strip()):
            limits[match[1], match[2]] = int(match[3])
    return limits


def grouped(number):
    return "" if number is None else f"{number:,}".replace(",", " ")


def main(programs, packages, limits, document):
    limits = budget(Path(limits))
    rows, over = {}, []
    for arch, what, size, gz, xz in measured(Path(programs), Path(packages)):
        limit = limits.get((arch, what))
        rows[arch, what] = f"| {arch} | {what} | {grouped(size)} | {grouped(gz)} | {grouped(xz)} | {grouped(limit)} |"
        if limit is not None and gz > limit:
            over.append(f"{what} for {arch}: {gz} bytes compressed, {gz - limit} over the budget of {limit}")
    document = Path(document)
    text = document.read_text()
    before, old, after = re.split(f"{re.escape(BEGIN)}|{re.escape(END)}", text)
    kept = {tuple(line.split(" | ")[:2]): line for line in old.splitlines() if line.startswith("| ")}
    kept = {(arch.removeprefix("| "), what): line for (arch, what), line in kept.items() if arch != "| architecture"}
    table = HEAD + "".join(line + "\n" for _, line in sorted((kept | rows).items()))
    document.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}")
    print("\n".join(rows.values()))
    for sentence in over:
        print(sentence, file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
