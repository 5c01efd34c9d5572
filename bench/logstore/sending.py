"""Sends a folder of packed bodies, several at once: a process of its own beside what is measured.

    python bench/logstore/sending.py URL FOLDER SENDERS

Prints the seconds from each request to its answer as one JSON list.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

HEADERS = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}


async def send(client: aiohttp.ClientSession, url: str, files: Iterator[Path]) -> list[float]:
    waits: list[float] = []
    for file in files:
        body = file.read_bytes()
        while True:
            began = time.monotonic()
            async with client.post(url, data=body, headers=HEADERS) as answer:
                text = await answer.text()
            if answer.status == 200:
                assert '"errors":false' in text, text[:500]
                waits.append(time.monotonic() - began)
                break
            assert answer.status == 429, text
            await asyncio.sleep(0.1)
    return waits


async def main(url: str, files: Iterator[Path], senders: int) -> None:
    async with aiohttp.ClientSession() as client:
        waits = await asyncio.gather(*(send(client, url, files) for _ in range(senders)))
    print(json.dumps([wait for each in waits for wait in each]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], iter(sorted(Path(sys.argv[2]).iterdir())), int(sys.argv[3])))
