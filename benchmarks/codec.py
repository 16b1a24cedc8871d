"""What one message costs in the native codec, next to msgspec alone as the floor.

    python -m benchmarks.codec [--seconds 0.2] [--rounds 5] [--json]

The floor decodes (or encodes) the same text without checking anything: no types, names, ids, duplicate keys, depth or
numbers. The best round of each counts. Absolute figures say something about this machine only; the factor is what to watch.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trio_router.payload import Payload
from trio_router.protocols import messages, strictjson
from trio_router.protocols.frames import text_frame
from trio_router.protocols.native import client_codec, codec

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

SMALL: Final = {"text": "hello world", "n": 12}
LARGE: Final = {"rows": [{"id": n, "name": f"row {n}", "tags": ["a", "b"], "price": n * 1.5} for n in range(100)]}


def publish(data: Any, **fields: Any) -> bytes:
    return _encode({"type": "publish", "channel": "news/sport/football", "data": data, **fields})


def contenders() -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """(what, with the codec, the floor)."""
    found: list[tuple[str, Callable[[], object], Callable[[], object]]] = []
    texts = {
        "decode publish, small": publish(SMALL, id="a-17"),
        "decode publish, 7 KiB": publish(LARGE),
        "decode publish, escapes": json.dumps({"type": "publish", "channel": "news", "data": "ü: 日本"}).encode(),
        "decode call": b'{"type":"call","id":"42","procedure":"resize","data":{"width":200},"timeout":5000}',
        "decode result": b'{"type":"result","call":"mB3kT0aQx9","data":{"url":"/img/200"}}',
    }
    for what, text in texts.items():
        found.append((what, lambda text=text: codec.decode(text), lambda text=text: _decode(text)))  # type: ignore[misc]
    small = publish(SMALL)
    found.append(("strict JSON alone, small", lambda: strictjson.decode(small), lambda: _decode(small)))
    publisher = messages.Publisher("7Qn0vZ4kq1Yw8sB2dXcE5rTu", "ann")
    plain = {"type": "event", "channel": "news/sport/football", "data": SMALL}
    found += [
        (
            "event frame, small",
            lambda: codec.event_frame("news/sport/football", Payload(SMALL)),
            lambda: text_frame(_encode(plain)),
        ),
        (
            "event frame, pattern and publisher",
            lambda: codec.event_frame("news/sport/football", Payload(SMALL), "news/*", publisher),
            lambda: text_frame(_encode(plain)),
        ),
        ("encode done", lambda: codec.encode(messages.Done("42")), lambda: _encode({"type": "done", "id": "42"})),
    ]
    event = codec.encode_event("news/sport/football", Payload(SMALL), "news/*", publisher)
    found.append(("client: decode event", lambda: client_codec.decode_reply(event), lambda: _decode(event)))
    return found


def microseconds(function: Callable[[], object], seconds: float) -> float:
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for _ in range(100):
            function()
        count += 100
    return spent / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2, help="per contender and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for what, ours, floor in contenders():
        best = [min(microseconds(each, options.seconds) for _ in range(options.rounds)) for each in (ours, floor)]
        rows.append({"what": what, "codec_us": round(best[0], 2), "floor_us": round(best[1], 2)})
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'':36} {'codec':>9} {'floor':>9}")
    for row in rows:
        print(f"{row['what']:36} {row['codec_us']:>6} us {row['floor_us']:>6} us")


if __name__ == "__main__":
    main()
