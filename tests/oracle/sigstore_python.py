"""Judges exported cases with sigstore-python, as its command line does; run it with `.peers/venv/bin/python`.

Reads paths of case folders, one a line, and answers each with a line of JSON, like `src/main.rs`.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

from sigstore import dsse
from sigstore.hashes import HashAlgorithm, Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


def judge(folder: Path) -> str:
    case = json.loads((folder / "case.json").read_bytes())
    identity, issuer = case["identity"].get("exact"), case["issuer"].get("exact")
    algorithm, digest = case["digest"].split(":")
    if case["key"] or identity is None or issuer is None or algorithm != "sha256":
        return "unable"
    bundle = Bundle.from_json((folder / "bundle.json").read_bytes())
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(folder / "trusted_root.json")))
    asked = policy.Identity(identity=identity, issuer=issuer)
    hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(digest))
    if bundle._dsse_envelope is None:
        verifier.verify_artifact(input_=hashed, bundle=bundle, policy=asked)
        return "accept"
    payload_type, payload = verifier.verify_dsse(bundle=bundle, policy=asked)
    if payload_type != dsse.Envelope._TYPE:
        raise ValueError(f"payload type {payload_type}")
    if not dsse.Statement(payload)._matches_digest(hashed):
        raise ValueError("no subject of that digest")
    return "accept"


for line in sys.stdin:
    reason = ""
    try:
        verdict = judge(Path(line.rstrip("\n")))
    except Exception as error:  # noqa: BLE001 - any exception is how this library refuses
        verdict, reason = "refuse", f"{type(error).__name__}: {error}"
    print(json.dumps({"verdict": verdict, "reason": reason}), flush=True)
