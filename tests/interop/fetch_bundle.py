#!/usr/bin/env python3
"""Fetches the one bundle of an image from a plain-HTTP loopback registry:

    fetch_bundle.py [--any-descriptor] [--predicate-type URI] IMAGE@DIGEST FILE

An independent reader of what was published: by the referrers API, or where the registry has none by the tag
sha256-<hex>. It checks what a consumer relies on: the descriptor's artifactType and annotations, the manifest's
subject, its one layer, and every digest and size on the way. --any-descriptor leaves the descriptor's out, for a
registry or a writer that describes it wrong. --predicate-type names another than a signature's.
"""
import argparse
import hashlib
import json
import sys
import urllib.error
import urllib.request

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def get(url, accept=None):
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return reply.read(64 << 20)


def expect(what, expected, found):
    if expected != found:
        sys.exit(f"error: {what}: expected {expected}, found {found}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--any-descriptor", action="store_true")
    parser.add_argument("--predicate-type", default="https://sigstore.dev/cosign/sign/v1")
    parser.add_argument("image")
    parser.add_argument("file")
    arguments = parser.parse_args()
    any_descriptor = arguments.any_descriptor
    name, digest = arguments.image.rsplit("@", 1)
    host, repository = name.split("/", 1)
    base = f"http://{host}/v2/{repository}"
    try:
        index = json.loads(get(f"{base}/referrers/{digest}", INDEX))
    except urllib.error.HTTPError as error:
        expect("status of the referrers API", 404, error.code)
        index = json.loads(get(f"{base}/manifests/{digest.replace(':', '-')}", INDEX))
    expect("mediaType of the index", INDEX, index["mediaType"])
    expect("number of referrers", 1, len(index["manifests"]))
    descriptor = index["manifests"][0]
    if not any_descriptor:
        expect("artifactType of the descriptor", BUNDLE, descriptor.get("artifactType"))
    raw = get(f"{base}/manifests/{descriptor['digest']}", MANIFEST)
    expect("digest of the manifest", descriptor["digest"], "sha256:" + hashlib.sha256(raw).hexdigest())
    expect("size of the manifest", descriptor["size"], len(raw))
    manifest = json.loads(raw)
    expect("artifactType of the manifest", BUNDLE, manifest.get("artifactType"))
    expect("subject of the manifest", digest, manifest["subject"]["digest"])
    if not any_descriptor:
        expect("annotations of the descriptor", manifest.get("annotations"), descriptor.get("annotations"))
    expect("predicate type annotation", arguments.predicate_type,
           manifest["annotations"].get("dev.sigstore.bundle.predicateType"))
    expect("number of layers", 1, len(manifest["layers"]))
    layer = manifest["layers"][0]
    expect("mediaType of the layer", BUNDLE, layer["mediaType"])
    bundle = get(f"{base}/blobs/{layer['digest']}")
    expect("digest of the bundle", layer["digest"], "sha256:" + hashlib.sha256(bundle).hexdigest())
    with open(arguments.file, "wb") as file:
        file.write(bundle)


main()
