"""A package of apk v3 (OpenWrt 25.12 and later), written by its published format: apk-v3(5) of apk-tools.

The file is a database ("ADB") of values that point to each other, followed by the contents of the files, all of it
deflated. Numbers are little-endian whatever the machine. It is not signed: routers install it as an upload does, with
`apk add --allow-untrusted`. `apk mkpkg` says the same of the same tree (compare by `apk adbdump`), in another order of bytes.
"""

import hashlib
import stat
import struct
import zlib

# Kinds of values: the upper four bits of a word; the lower 28 are the value or its place.
INT, INT_32 = 0x1 << 28, 0x2 << 28
BLOB_8, BLOB_16, BLOB_32 = 0x8 << 28, 0x9 << 28, 0xA << 28
ARRAY, OBJECT = 0xD << 28, 0xE << 28
NULL = 0

# Kinds of blocks: the upper two bits of a block's first word.
BLOCK_ADB, BLOCK_DATA = 0 << 30, 2 << 30

# How a dependency compares versions, as bits.
EQUAL, LESS, GREATER, CONFLICT = 1, 2, 4, 16

# The scripts of a package, by their places in the object.
SCRIPTS = ["trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade"]


class Database:
    """Values, each at its place; equal ones share it."""

    def __init__(self):
        # Versions of the format (0, 0), two bytes reserved, and the root, which is known last.
        self.bytes = bytearray(8)
        self.places = {}

    def _put(self, data, alignment, shared=True):
        place = self.places.get((data, alignment)) if shared else None
        if place is None:
            self.bytes += bytes(-len(self.bytes) % alignment)
            place = len(self.bytes)
            self.bytes += data
            if shared:
                self.places[(data, alignment)] = place
        return place

    def number(self, value):
        if value < 1 << 28:
            return INT | value
        return INT_32 | self._put(struct.pack("<I", value), 4)

    def blob(self, data, shared=True):
        if isinstance(data, str):
            data = data.encode()
        length = len(data)
        if length == 0:
            return NULL
        if length < 1 << 8:
            return BLOB_8 | self._put(struct.pack("<B", length) + data, 1, shared)
        if length < 1 << 16:
            return BLOB_16 | self._put(struct.pack("<H", length) + data, 2, shared)
        return BLOB_32 | self._put(struct.pack("<I", length) + data, 4, shared)

    def _slots(self, kind, values):
        while values and values[-1] == NULL:
            values.pop()
        if not values:
            return NULL
        words = [len(values) + 1, *values]
        return kind | self._put(struct.pack(f"<{len(words)}I", *words), 4)

    def object(self, *fields):
        return self._slots(OBJECT, list(fields))

    def array(self, values):
        return self._slots(ARRAY, [value for value in values if value != NULL])


def dependency(db, text):
    """`name`, `name=version` or `!name`, which must not be there beside us."""
    if text.startswith("!"):
        return db.object(db.blob(text[1:]), NULL, db.number(EQUAL | LESS | GREATER | CONFLICT))
    name, _, version = text.partition("=")
    return db.object(db.blob(name), db.blob(version))


def dependencies(db, texts):
    return db.array([dependency(db, text) for text in sorted(texts, key=lambda text: text.lstrip("!"))])


def owned(db, mode):
    return db.object(db.number(stat.S_IMODE(mode)), db.blob("root"), db.blob("root"))


def directories(files):
    """The directories of a tree in the order of apk, each with its entries: [(path, [file])]."""
    inside = {"": []}
    for file in files:
        parent, _, name = file.path.rpartition("/")
        if stat.S_ISDIR(file.mode):
            inside[file.path] = []
        else:
            inside[parent].append((name, file))
    return sorted((path, sorted(entries, key=lambda entry: entry[0])) for path, entries in inside.items())


def file_value(db, name, file, epoch):
    if stat.S_ISLNK(file.mode):
        digest, target = NULL, db.blob(struct.pack("<H", stat.S_IFLNK) + file.target.encode())
    else:
        digest, target = db.blob(hashlib.sha256(file.data).digest()), NULL
    fields = [db.blob(name), owned(db, file.mode), db.number(file.size), db.number(epoch), digest, target]
    return db.object(*fields)


def block(kind, data):
    return struct.pack("<I", kind | len(data) + 4) + data + bytes(-(len(data) + 4) % 8)


def package(info, files, scripts, epoch):
    """The bytes of the package. `info`: name, version, description, arch, license, origin, maintainer, url (texts),
    depends, provides (lists of texts). `files`: the tree, directories included. `scripts`: texts by name."""
    db = Database()
    tree = directories(files)
    size = sum(file.size for file in files if stat.S_ISREG(file.mode))
    paths = []
    for path, entries in tree:
        inside = db.array([file_value(db, name, file, epoch) for name, file in entries])
        paths.append(db.object(db.blob(path), owned(db, 0o755), inside))
    # The digest of the whole database, with zeros in its own place.
    identity = db.blob(bytes(20), shared=False)
    texts = ["description", "arch", "license", "origin", "maintainer", "url"]
    about = db.object(
        db.blob(info["name"]), db.blob(info["version"]), identity, *(db.blob(info[text]) for text in texts),
        NULL, NULL, db.number(max(size, 1)), NULL, NULL, dependencies(db, info["depends"]),
        dependencies(db, info["provides"]),
    )
    run = db.object(*(db.blob(scripts.get(name, "")) for name in SCRIPTS))
    root = db.object(about, db.array(paths), run)
    struct.pack_into("<I", db.bytes, 4, root)
    place = (identity & 0x0FFFFFFF) + 1
    db.bytes[place:place + 20] = hashlib.sha256(db.bytes).digest()[:20]

    out = bytearray(b"ADB." + b"pckg" + block(BLOCK_ADB, bytes(db.bytes)))
    for path_index, (_, entries) in enumerate(tree, 1):
        for file_index, (_, file) in enumerate(entries, 1):
            if stat.S_ISREG(file.mode) and file.data:
                out += block(BLOCK_DATA, struct.pack("<II", path_index, file_index) + file.data)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"ADBd" + deflate.compress(bytes(out)) + deflate.flush()
