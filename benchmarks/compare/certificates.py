"""One self-signed certificate for all servers that are measured over TLS."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import trustme

from benchmarks.generator import BUILT


@cache
def certificate() -> tuple[Path, Path]:
    """Chain and key, in PEM."""
    folder = BUILT / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    made = trustme.CA().issue_cert("127.0.0.1", "localhost")
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    key.chmod(0o600)
    return chain, key
