"""Who answers through Nginx: asked by several requests, each on a connection of its own."""

from collections.abc import Callable
from typing import Any

import aiohttp

from wharfinger.operator.parts.process import until


def fresh_connections() -> aiohttp.ClientSession:
    """A session of this process that keeps no connection for its next request."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


Sessions = Callable[[], aiohttp.ClientSession]


async def answers(
    url: str, host: str, requests: int, sessions: Sessions = fresh_connections
) -> set[str]:
    """What came back to so many requests: an instance's text, or `failed: ` and why."""
    found = set()
    async with sessions() as session:
        for _ in range(requests):
            try:
                async with session.get(url, headers={"Host": host}) as answer:
                    text = (await answer.text()).strip()
                    found.add(text if answer.ok else f"failed: status {answer.status}")
            except (aiohttp.ClientError, TimeoutError) as error:
                found.add(f"failed: {type(error).__name__}")
    return found


async def until_answered(
    url: str,
    host: str,
    count: int,
    *,
    timeout_seconds: float,
    sessions: Sessions = fresh_connections,
) -> None:
    """Waits until every request is answered by an instance, and by so many of them.

    The next one may still meet a worker of Nginx's from before the last reload: whoever counts
    requests from here on waits for `confirmed` as well.

    Raises:
        Unavailable: it did not come to that; its note says what came back last.
    """
    last: set[str] = set()

    async def reached() -> bool:
        nonlocal last
        last = await answers(url, host, 8 * count, sessions)
        return len(last) == count and not any(each.startswith("failed: ") for each in last)

    try:
        await until(reached, timeout_seconds=timeout_seconds, what=f"{host} answers from {count}")
    except Exception as error:
        error.add_note(f"the last answers: {sorted(last)}")
        raise


def confirmed(status: Any) -> bool:
    """Whether /status says that Nginx serves what was rendered last, and no older worker does."""
    return all(each["state"] == "current" for each in status["resources"])
