"""Changes to the JSON of good bundles, one at a time; every run makes the same ones.

`mutations(bundle, sibling)` yields names and documents. A name is KIND/PATH, the path being where the
change was made. The sibling is another signature by the same authorities.
"""

import base64
import json
from copy import deepcopy

INTEGERS = {"logIndex", "integratedTime", "treeSize"}
ENUMS = {"algorithm"}
TEXTS = {"mediaType", "kind", "version", "payloadType", "keyid", "hint", "envelope"}
MEDIA_TYPES = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle.v0.4+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json ",
    "application/vnd.dev.sigstore.bundle.v0.3.1+json",
    "APPLICATION/VND.DEV.SIGSTORE.BUNDLE.V0.3+JSON",
    "application/vnd.dev.sigstore.bundle+json; version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.1+json",
    "application/json",
    "",
]


class Raw(str):
    """Text that is written as it stands."""


class Members(list):
    """An object as a list of pairs, for names may come twice."""


def members(value):
    if isinstance(value, dict):
        return Members([name, members(inner)] for name, inner in value.items())
    return [members(inner) for inner in value] if isinstance(value, list) else value


def text(value) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(name)}:{text(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return json.dumps(value)


def walk(value, path=()):
    """Paths of everything below a document, with their values."""
    inner = value if isinstance(value, Members) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inner:
        yield (*path, name), child
        yield from walk(child, (*path, name))


def at(document, path):
    for step in path:
        document = next(inner for name, inner in document if name == step) if isinstance(document, Members) else document[step]
    return document


def put(document, path, value):
    """A copy of a document with the value at a path replaced."""
    document = deepcopy(document)
    parent = at(document, path[:-1])
    if isinstance(parent, Members):
        next(pair for pair in parent if pair[0] == path[-1])[1] = value
    else:
        parent[path[-1]] = value
    return document


def edit(document, path, change):
    """A copy of a document with the object that holds a path changed, given the place of its member."""
    document = deepcopy(document)
    parent = at(document, path[:-1])
    place = next(i for i, (name, _) in enumerate(parent) if name == path[-1])
    change(parent, place)
    return document


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def is_bytes(name, value) -> bool:
    return isinstance(value, str) and name not in INTEGERS | ENUMS | TEXTS


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def of_bytes(value: str):
    data = base64.b64decode(value)
    yield "empty", ""
    # Which texts have a padding, or a letter of one alphabet alone, depends on the bytes; these always do.
    if len(data) > 300 and data[:1] == b"\x30":
        yield "url-safe", base64.urlsafe_b64encode(data).decode()
    if len(data) == 32:
        yield "unpadded", value.rstrip("=")
        yield "more-behind-padding", value + "AAAA"
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        yield "loose-bits", value[:-2] + alphabet[alphabet.index(value[-2]) | 1] + "="
    yield "line-break", value[:4] + "\n" + value[4:]
    yield "space-behind", value + " "
    yield "not-base64", "*" + value[1:]
    yield "hex", data.hex()
    yield "as-numbers", list(data)
    yield "byte-less", b64(data[:-1])
    yield "byte-less-in-front", b64(data[1:])
    yield "byte-more", b64(data + b"\0")
    yield "twice-over", b64(data + data)
    yield "zeros", b64(bytes(len(data)))
    for name, place in places(data):
        flipped = bytearray(data)
        flipped[place] ^= 1
        yield f"flip-{name}", b64(bytes(flipped))


def places(data: bytes):
    """Where bits are flipped: in each primitive element of DER, else in front, in the middle and behind."""
    leaves = list(der_leaves(data, 0, len(data))) if data[:1] == b"\x30" else []
    if leaves:
        return [(".".join(map(str, path)), place) for path, place in leaves]
    return [("first", 0), ("middle", len(data) // 2), ("last", len(data) - 1)]


def der_elements(data, start, end):
    """Tag, content's start and end of each element; nothing if it is not DER."""
    found = []
    while start < end:
        if end - start < 2:
            return []
        tag, length, start = data[start], data[start + 1], start + 2
        if length > 0x82 or length == 0x80:
            return []
        if length > 0x80:
            count = length - 0x80
            length, start = int.from_bytes(data[start : start + count], "big"), start + count
        if start + length > end:
            return []
        found.append((tag, start, start + length))
        start += length
    return found


def der_leaves(data, start, end, path=()):
    """Path and last byte of each primitive element; octet strings are opened where a sequence is in them."""
    for number, (tag, inner, behind) in enumerate(der_elements(data, start, end)):
        opened = tag & 0x20 or tag == 4 and data[inner : inner + 1] == b"\x30" and der_elements(data, inner, behind)
        if opened:
            yield from der_leaves(data, inner, behind, (*path, number))
        elif behind > inner:
            yield (*path, number), behind - 1


def of_integer(value: str):
    number = int(value)
    yield "one-more", str(number + 1)
    yield "one-less", str(number - 1)
    yield "zero", "0"
    yield "negative", str(-number)
    yield "number", number
    yield "number-with-point", Raw(f"{number}.0")
    yield "number-with-fraction", Raw(f"{number}.5")
    yield "number-with-exponent", Raw(f"{number}e0")
    yield "point", f"{number}.0"
    yield "exponent", f"{number}e0"
    yield "plus", f"+{number}"
    yield "space", f" {number}"
    yield "leading-zero", f"0{number}"
    yield "hex", hex(number)
    yield "empty", ""
    yield "over-63-bits", str(1 << 63)
    yield "over-64-bits", str((1 << 64) + number)
    yield "as-object", Members()


def of_checkpoint(value: str):
    head, lines = value.split("\n\n", 1)
    origin, size, root = head.split("\n")[:3]
    yield "no-line-break-behind", value.rstrip("\n")
    yield "line-break-behind", value + "\n"
    yield "crlf", value.replace("\n", "\r\n")
    yield "line-in-text", value.replace("\n\n", "\nmore\n\n", 1)
    yield "origin-changed", value.replace(origin, origin + "x", 1)
    yield "size-changed", value.replace(f"\n{size}\n", f"\n{int(size) + 1}\n", 1)
    yield "root-changed", value.replace(root, b64(bytes(32)), 1)
    yield "no-signature", head + "\n\n"
    yield "signature-twice", head + "\n\n" + lines * 2
    stranger = f"\u2014 other.test {b64(bytes(68))}\n"
    yield "stranger-behind", value + stranger
    yield "stranger-before", head + "\n\n" + stranger + lines
    dash, name, signature = lines.rstrip("\n").split(" ")
    data = base64.b64decode(signature)
    line = lambda name, data: f"{head}\n\n{dash} {name} {b64(data)}\n"
    yield "name-changed", line("other.test", data)
    yield "hint-changed", line(name, bytes(4) + data[4:])
    yield "signature-flipped", line(name, data[:-1] + bytes([data[-1] ^ 1]))
    yield "broken-line-first", head + "\n\n" + f"{dash} {name} {b64(data[:4] + bytes(len(data) - 4))}\n" + lines
    yield "hyphen-for-dash", value.replace("\u2014", "-")
    yield "empty", ""


def of_text(name: str, value: str):
    if name == "mediaType":
        yield from ((f"media-type-{i}", other) for i, other in enumerate(MEDIA_TYPES) if other != value)
        return
    if name == "kind":
        yield from ((f"is-{other}", other) for other in ("dsse", "hashedrekord", "intoto", "rekord") if other != value)
    if name == "version":
        yield from ((f"is-{other}", other) for other in ("0.0.1", "0.0.2", "0.0.3", "0.0.1 ", "v0.0.1") if other != value)
    if name == "envelope":
        yield from of_checkpoint(value)
        return
    if name == "algorithm":
        others = ("SHA2_384", "SHA2_512", "SHA3_256", "HASH_ALGORITHM_UNSPECIFIED", "SHA256", "sha2_256", 1, 0, 3, 99)
        yield from ((f"is-{other}", other) for other in others)
        return
    yield "changed", value + "x"
    yield "value-in-capitals", value.upper()
    yield "nul-behind", value + "\0"
    yield "empty", ""


def of_structure(document, path, value):
    name = path[-1]
    if isinstance(name, str):
        yield "absent", edit(document, path, lambda parent, place: parent.pop(place))
        yield "twice", edit(document, path, lambda parent, place: parent.append([name, deepcopy(value)]))
        other = Members() if isinstance(value, Members) else [] if isinstance(value, list) else "x"
        yield "twice-other-first", edit(document, path, lambda parent, place: parent.insert(0, [name, other]))
        yield "twice-other-last", edit(document, path, lambda parent, place: parent.append([name, other]))
        yield "twice-null-last", edit(document, path, lambda parent, place: parent.append([name, None]))
        renamed = lambda to: edit(document, path, lambda parent, place: parent[place].__setitem__(0, to))
        if snake(name) != name:
            yield "snake-case", renamed(snake(name))
            both = lambda parent, place: parent.append([snake(name), deepcopy(value)])
            yield "both-cases", edit(document, path, both)
        yield "in-capitals", renamed(name.upper())
    yield "null", put(document, path, None)
    if isinstance(value, Members):
        yield "unknown-member", put(document, path, Members([*value, ["unknown", "x"]]))
        yield "as-array", put(document, path, [inner for _, inner in value])
        yield "as-pairs", put(document, path, [Members([pair]) for pair in value])
        yield "emptied", put(document, path, Members())
        yield "reordered", put(document, path, Members(reversed(value)))
    elif isinstance(value, list):
        yield "emptied", put(document, path, [])
        if value:
            yield "element-twice", put(document, path, [*value, value[-1]])
            yield "null-behind", put(document, path, [*value, None])
            yield "element-less", put(document, path, value[:-1])
            yield "as-element", put(document, path, value[0])
        if value and isinstance(value[-1], Members):
            yield "empty-behind", put(document, path, [*value, Members()])
            yield "empty-before", put(document, path, [Members(), *value])
        if len(value) > 1:
            yield "reversed", put(document, path, value[::-1])
    else:
        yield "as-list", put(document, path, [value])
        yield "as-true", put(document, path, True)


def of_document(document):
    plain = text(document).encode()
    yield "space-around", b" \n\t" + plain + b" \r\n"
    yield "byte-order-mark", b"\xef\xbb\xbf" + plain
    yield "more-behind", plain + b"{}"
    yield "in-a-list", b"[" + plain + b"]"
    yield "trailing-comma", plain[:-1] + b",}"
    yield "comment", plain[:-1] + b"/* */}"
    yield "cut-short", plain[:-1]
    yield "empty", b""
    yield "empty-object", b"{}"
    yield "null", b"null"
    yield "unknown-member", text(Members([*document, ["unknown", "x"]])).encode()
    yield "unknown-not-utf-8", plain[:-1] + b',"unknown":"\xff"}'
    yield "unknown-deep", plain[:-1] + b',"unknown":' + b"[" * 5000 + b"]" * 5000 + b"}"
    yield "reordered", text(Members(reversed(document))).encode()
    for step in ("keyid", "hint"):
        for path, value in walk(document):
            if path[-1] == step:
                yield f"{step}-not-utf-8", text(put(document, path, Raw('"@"'))).encode().replace(b"@", b"\xff")
                yield f"{step}-lone-surrogate", text(put(document, path, Raw('"\\ud800"'))).encode()


def of_swaps(document, sibling):
    """Parts of the sibling put in the place of ours: every one, and sets of those that belong together."""
    ours, theirs = dict(walk(document)), dict(walk(sibling))
    shared = [path for path, value in ours.items() if path in theirs and theirs[path] != value]
    for path in shared:
        yield "swap/" + dotted(path), text(put(document, path, theirs[path])).encode()
    ends = {
        "signature": ("messageSignature", "dsseEnvelope", "signatures"),
        "certificate": ("certificate", "x509CertificateChain"),
        "entry": ("tlogEntries",),
        "timestamp": ("timestampVerificationData",),
    }
    parts = {
        part: next((path for path in shared if path[-1] in names), None) for part, names in ends.items()
    }
    names = sorted(part for part, path in parts.items() if path)
    for bits in range(1, 1 << len(names)):
        chosen = [name for i, name in enumerate(names) if bits >> i & 1]
        if len(chosen) > 1:
            swapped = document
            for name in chosen:
                swapped = put(swapped, parts[name], theirs[parts[name]])
            yield "swap/" + "+".join(chosen), text(swapped).encode()
    entries = ("verificationMaterial", "tlogEntries")
    if entries in ours and entries in theirs:
        both = [*ours[entries], *theirs[entries]]
        yield "swap/entry-added", text(put(document, entries, both)).encode()
        yield "swap/entry-added-before", text(put(document, entries, both[::-1])).encode()
    stamps = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")
    if stamps in ours and stamps in theirs:
        both = [*ours[stamps], *theirs[stamps]]
        yield "swap/timestamp-added", text(put(document, stamps, both)).encode()
        yield "swap/timestamp-added-before", text(put(document, stamps, both[::-1])).encode()


def dotted(path) -> str:
    return ".".join(map(str, path))


ROOT_KINDS = {"absent", "null", "snake-case", "unknown-member", "twice", "emptied", "as-array", "element-twice"}


def root_mutations(root: dict):
    """Changes to a trusted root, which is trusted: they ask who can read it, and what it is read as."""
    document = members(root)
    yield "document/unknown-member", text(Members([*document, ["unknown", "x"]])).encode()
    for path, value in walk(document):
        for kind, changed in of_structure(document, path, value):
            if kind in ROOT_KINDS:
                yield f"{kind}/{dotted(path)}", text(changed).encode()
        others = {
            "start": [("later-zone", "2023-07-22T05:26:40+01:00"), ("fraction", "2023-07-22T04:26:40.5Z"),
                      ("no-zone", "2023-07-22T04:26:40"), ("day", "2023-07-22"), ("after-all", "2033-07-22T04:26:40Z")],
            "mediaType": [("v0.1", "application/vnd.dev.sigstore.trustedroot.v0.1+json"),
                          ("v0.2", "application/vnd.dev.sigstore.trustedroot.v0.2+json"),
                          ("v0.3", "application/vnd.dev.sigstore.trustedroot.v0.3+json")],
            "hashAlgorithm": [("number", 1), ("other", "SHA2_512"), ("unknown", "NONE_OF_THEM")],
            "keyDetails": [("number", 5), ("other", "PKIX_ECDSA_P384_SHA_384"), ("unknown", "NONE_OF_THEM")],
            "keyId": [("empty", ""), ("short", "AAAA"), ("zeros", b64(bytes(32)))],
            "rawBytes": [("empty", ""), ("short", "AAAA"), ("line-break", str(value)[:4] + "\n" + str(value)[4:])],
            "baseUrl": [("empty", ""), ("path", f"{value}/path"), ("not-a-url", "::")],
            "uri": [("empty", ""), ("not-a-url", "::")],
        }
        for kind, other in others.get(path[-1], ()):
            yield f"{kind}/{dotted(path)}", text(put(document, path, other)).encode()
        if path[-1] == "validFor":
            ended = Members([*value, ["end", "2023-07-22T04:26:39Z"]])
            yield f"ends-before-it-starts/{dotted(path)}", text(put(document, path, ended)).encode()
            open_end = Members([*value, ["end", None]])
            yield f"end-null/{dotted(path)}", text(put(document, path, open_end)).encode()
        if len(path) == 2 and isinstance(path[1], int):
            named = Members([*value, ["operator", "somebody"]])
            yield f"operator/{dotted(path)}", text(put(document, path, named)).encode()


def mutations(bundle: dict, sibling: dict):
    document, sibling = members(bundle), members(sibling)
    for kind, changed in of_document(document):
        yield f"document/{kind}", changed
    for path, value in walk(document):
        name = next(step for step in reversed(path) if isinstance(step, str))
        for kind, changed in of_structure(document, path, value):
            yield f"{kind}/{dotted(path)}", text(changed).encode()
        values = ()
        if isinstance(value, str) and name in INTEGERS:
            values = of_integer(value)
        elif is_bytes(name, value):
            values = of_bytes(value)
        elif isinstance(value, str):
            values = of_text(name, value)
        for kind, other in values:
            if other != value:
                yield f"{kind}/{dotted(path)}", text(put(document, path, other)).encode()
    yield from of_swaps(document, sibling)
