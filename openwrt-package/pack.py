#!/usr/bin/env python3
"""Makes packages for routers, without an SDK and without root:

    pack.py OUT ARCHITECTURE=PROGRAMS...

For each architecture of OpenWrt, PROGRAMS is a directory with the built `switchboard` and `switchboard-cgi`. OUT gets an
.ipk (opkg: OpenWrt up to 24.10, AREDN up to 4.26.1) and an .apk (apk v3: OpenWrt 25.12, AREDN 4.26.7) of each, and the pair
of the LuCI page, which fits all. The same inputs and the same SOURCE_DATE_EPOCH make the same bytes.

What is said of a package is read from its Makefile in the folders beside this file; what is in it comes from install.sh
and files/. What OpenWrt's own build adds (which scripts call what, which lists lie in lib/apk/packages) is the rest here.
"""

import gzip
import hashlib
import io
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import adb

HERE = Path(__file__).resolve().parent


@dataclass
class File:
    """What stands at a path; everything belongs to root."""

    path: str
    mode: int
    data: bytes = b""
    target: str = ""

    @property
    def size(self):
        return len(self.target.encode()) if self.target else len(self.data)


class Recipe:
    """What a feed's Makefile says: `NAME:=value` and `define NAME` … `endef`. Nothing is computed, and what make would
    compute in these places is left out: `$(RUST_ARCH_DEPENDS)` says what can be built, not what must be there."""

    def __init__(self, makefile):
        self.values, self.defines = {}, {}
        name, lines = None, []
        for line in makefile.read_text().splitlines():
            if name is None and line.startswith("define "):
                name, lines = line.split()[1], []
            elif name is not None and line == "endef":
                self.defines[name], name = "\n".join(lines), None
            elif name is not None:
                lines.append(line)
            elif match := re.fullmatch(r"(\w+)\s*:=\s*(.*)", line):
                self.values[match[1]] = match[2]
        self.name = self.values.get("PKG_NAME") or makefile.parent.name
        for line in self.text("").splitlines():
            if match := re.fullmatch(r"\s+(\w+):=(.*)", line):
                self.values[match[1]] = match[2]
        # What luci.mk makes of its own variables.
        for key in ["DEPENDS", "TITLE"]:
            self.values.setdefault(key, self.values.get(f"LUCI_{key}", ""))
        self.values.setdefault("SECTION", "luci")
        self.defines.setdefault(f"Package/{self.name}/description", self.values.get("LUCI_DESCRIPTION", ""))

    def value(self, key):
        return re.sub(r"\$\([^)]*\)", "", self.values.get(key, "")).strip()

    def words(self, key):
        return [word.lstrip("+") for word in self.value(key).split()]

    def text(self, part):
        """A `define` of the package, as make hands it on."""
        return self.defines.get(f"Package/{self.name}" + (f"/{part}" if part else ""), "").replace("$$", "$")

    def script(self, part):
        """Its commands, without the first line that says who reads them."""
        return re.sub(r"^#!.*\n", "", self.text(part))

    @property
    def version(self):
        cargo = (HERE.parent / "Cargo.toml").read_text()
        plain = re.search(r'^version = "(.*)"', cargo, re.MULTILINE)[1].replace("-", "_")
        return f"{plain}-r{self.value('PKG_RELEASE')}"

    @property
    def description(self):
        return [line.strip() for line in self.text("description").splitlines()]


def tree(root):
    """All of a directory below its root, in the order of names."""
    files = []
    for path in sorted(Path(root).rglob("*")):
        mode, name = path.lstat().st_mode, path.relative_to(root).as_posix()
        if stat.S_ISLNK(mode):
            files.append(File(name, stat.S_IFLNK | 0o777, target=os.readlink(path)))
        elif stat.S_ISDIR(mode):
            files.append(File(name, mode))
        else:
            files.append(File(name, mode, path.read_bytes()))
    return files


def tar(files, epoch):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in [File(".", stat.S_IFDIR | 0o755), *files]:
            name = file.path if file.path == "." else f"./{file.path}"
            entry = tarfile.TarInfo(name + "/" if stat.S_ISDIR(file.mode) else name)
            entry.mode, entry.mtime = stat.S_IMODE(file.mode), epoch
            entry.uname = entry.gname = "root"
            if file.target:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.target
            elif stat.S_ISDIR(file.mode):
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(file.data)
            archive.addfile(entry, io.BytesIO(file.data))
    return out.getvalue()


def zipped(data):
    return gzip.compress(data, 9, mtime=0)


SOURCED = "[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0\n. ${IPKG_INSTROOT}/lib/functions.sh\n"
UNLESS_FORBIDDEN = '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n'


def ipk(recipe, arch, files, epoch):
    """opkg's form: a tar of two tars. opkg keeps what belongs to the package (`-pkg`) beside the scripts that run it."""
    data = tar(files, epoch)
    fields = {
        "Package": recipe.name,
        "Version": recipe.version,
        "Depends": ", ".join(recipe.words("DEPENDS")),
        "Conflicts": ", ".join(recipe.words("CONFLICTS")),
        "Provides": ", ".join(recipe.words("PROVIDES")),
        "Source": f"feeds/switchboard/{recipe.name}",
        "SourceName": recipe.name,
        "License": recipe.value("PKG_LICENSE"),
        "Section": recipe.value("SECTION"),
        "Require-User": recipe.value("USERID"),
        "SourceDateEpoch": str(epoch),
        "Maintainer": recipe.value("PKG_MAINTAINER"),
        "Architecture": arch,
        "Installed-Size": str(len(data)),
        "Description": "\n".join([" " + line for line in recipe.description]).lstrip(),
    }
    control = {"control": "".join(f"{key}: {value}\n" for key, value in fields.items() if value)}
    if conffiles := recipe.text("conffiles"):
        control["conffiles"] = conffiles + "\n"
    scripts = {
        "postinst": "#!/bin/sh\n" + UNLESS_FORBIDDEN + SOURCED + "default_postinst $0 $@\n",
        "prerm": "#!/bin/sh\n" + SOURCED + "default_prerm $0 $@\n",
    }
    for part, name in [("preinst", "preinst"), ("postinst", "postinst-pkg"), ("prerm", "prerm-pkg"), ("postrm", "postrm")]:
        if recipe.text(part):
            scripts[name] = recipe.text(part) + "\n"
    entries = [File(name, stat.S_IFREG | 0o644, text.encode()) for name, text in control.items()]
    entries += [File(name, stat.S_IFREG | 0o755, text.encode()) for name, text in scripts.items()]
    entries.sort(key=lambda entry: entry.path)
    outer = [
        File("debian-binary", stat.S_IFREG | 0o644, b"2.0\n"),
        File("data.tar.gz", stat.S_IFREG | 0o644, zipped(data)),
        File("control.tar.gz", stat.S_IFREG | 0o644, zipped(tar(entries, epoch))),
    ]
    # The outer one has no entry for its directory.
    return zipped(tar(outer, epoch)[512:])


def apk(recipe, arch, files, epoch):
    """apk's form. What opkg finds in its own lists, OpenWrt's scripts find in files below lib/apk/packages."""
    lists = {}
    if recipe.value("USERID"):
        lists["rusers"] = recipe.value("USERID") + "\n"
    there = {file.path: file for file in files}
    listed = [path for path, file in there.items() if not stat.S_ISDIR(file.mode)]
    listed += [f"lib/apk/packages/{recipe.name}.{ending}" for ending in lists]
    lists["list"] = "".join(f"/{path}\n" for path in sorted(listed))
    if conffiles := recipe.text("conffiles").split():
        lists["conffiles"] = "".join(f"{path}\n" for path in conffiles)
        digests = [(path, hashlib.sha256(there[path.lstrip("/")].data).hexdigest()) for path in conffiles]
        lists["conffiles_static"] = "".join(f"{path} {digest}\n" for path, digest in digests)
    for path in ["lib", "lib/apk", "lib/apk/packages"]:
        there.setdefault(path, File(path, stat.S_IFDIR | 0o755))
    for ending, text in lists.items():
        path = f"lib/apk/packages/{recipe.name}.{ending}"
        there[path] = File(path, stat.S_IFREG | 0o644, text.encode())

    named = SOURCED + f'export root="${{IPKG_INSTROOT}}"\nexport pkgname="{recipe.name}"\n'
    installed = UNLESS_FORBIDDEN + named + "add_group_and_user\ndefault_postinst\n" + recipe.script("postinst") + "\n"
    scripts = {
        "post-install": "#!/bin/sh\n" + installed,
        "post-upgrade": "#!/bin/sh\nexport PKG_UPGRADE=1\n" + installed,
        "pre-deinstall": "#!/bin/sh\n" + named + "default_prerm\n" + recipe.script("prerm") + "\n",
    }
    if recipe.text("postrm"):
        scripts["post-deinstall"] = recipe.text("postrm") + "\n"
    info = {
        "name": recipe.name,
        "version": recipe.version,
        "description": " ".join(recipe.description),
        "arch": arch if arch != "all" else "noarch",
        "license": recipe.value("PKG_LICENSE"),
        "origin": f"feeds/switchboard/{recipe.name}",
        "maintainer": recipe.value("PKG_MAINTAINER"),
        "url": "",
        "depends": recipe.words("DEPENDS") + ["!" + name for name in recipe.words("CONFLICTS")],
        "provides": [f"{name}={recipe.version}" for name in recipe.words("PROVIDES")],
    }
    return adb.package(info, list(there.values()), scripts, epoch)


def page(folder):
    """What luci.mk makes of a page's folder: `root` is the router's, `htdocs` that of its web server."""
    files = {file.path: file for file in tree(folder / "root")}
    for file in [File("", stat.S_IFDIR), *tree(folder / "htdocs")]:
        file.path = f"www/{file.path}".rstrip("/")
        files[file.path] = file
    for file in files.values():
        file.mode = stat.S_IFMT(file.mode) | (0o755 if stat.S_ISDIR(file.mode) else 0o644)
    return [files[path] for path in sorted(files)]


def write(out, recipe, arch, files, epoch):
    for name, data in [
        (f"{recipe.name}_{recipe.version}_{arch}.ipk", ipk(recipe, arch, files, epoch)),
        (f"{recipe.name}-{recipe.version}_{arch}.apk", apk(recipe, arch, files, epoch)),
    ]:
        (out / name).write_bytes(data)
        print(f"{len(data):8} {out / name}")


def main(arguments):
    if len(arguments) < 2 or not all("=" in argument for argument in arguments[1:]):
        sys.exit(__doc__)
    out, epoch = Path(arguments[0]), int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    out.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    switchboard = Recipe(HERE / "switchboard" / "Makefile")
    built = [argument.partition("=")[::2] for argument in arguments[1:]]
    for _, programs in built:
        for program in ["switchboard", "switchboard-cgi"]:
            if not (Path(programs) / program).is_file():
                sys.exit(f"{programs}/{program} is missing: `make cross` builds it")
    for arch, programs in built:
        with tempfile.TemporaryDirectory() as root:
            subprocess.run([HERE / "install.sh", root, programs], check=True)
            write(out, switchboard, arch, tree(root), epoch)
    luci = HERE / "luci-app-switchboard"
    write(out, Recipe(luci / "Makefile"), "all", page(luci), epoch)


if __name__ == "__main__":
    main(sys.argv[1:])
