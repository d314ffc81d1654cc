"""Passwords as they are kept: salted scrypt. A check costs 32 MiB and some 0.1 s of one core."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

SHORTEST = 10
LONGEST = 256  # characters; each is at most 4 bytes
COST, BLOCK, PARALLEL = 2**15, 8, 1
_MEMORY_BYTES = 64 * 1024 * 1024
_KEPT = re.compile(r"scrypt:([0-9a-f]{32}):([0-9a-f]{64})")


def kept(password: str) -> str:
    """What stands in the file; never the same twice."""
    salt = secrets.token_bytes(16)
    return f"scrypt:{salt.hex()}:{_derived(password, salt).hex()}"


def is_right(password: str, known: str | None) -> bool:
    """Takes as long without an account as with one."""
    found = _KEPT.fullmatch(known or "")
    salt, digest = (bytes(16), bytes(32)) if found is None else map(bytes.fromhex, found.groups())
    return hmac.compare_digest(_derived(password, salt), digest) and found is not None


def _derived(password: str, salt: bytes) -> bytes:
    text = password.encode(errors="surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=COST, r=BLOCK, p=PARALLEL, maxmem=_MEMORY_BYTES, dklen=32)
