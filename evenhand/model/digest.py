"""Digests: stable hashes of JSON values, the same on any machine."""

import hashlib
import json


def digest(value: object) -> str:
    """SHA-256 (hex) of a JSON value, written canonically."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
