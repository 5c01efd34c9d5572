"""Measures the log page in a real browser: frames while one scrolls through many rows.

    python bench/logstore_page.py [--rows 100000]

A frame that takes long is one that the eye sees; long tasks are those of more than 50 ms, in
which the page answers nobody (W3C, Long Tasks). On a busy machine frames wait for the machine,
too: the last table is the same scrolling on a page that does nothing.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, async_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.page.browsing import Store, moment
from tests.page.conftest import CHROMIUM

BODY_LINES = 5_000
LOAD = """async (rows) => {
  const scroller = document.querySelector('.scroller');
  const all = `${rows.toLocaleString('en')} lines`;
  const began = performance.now();
  while (!document.querySelector('.status').textContent.startsWith(all)) {
    scroller.scrollTop = scroller.scrollHeight;
    await new Promise((done) => setTimeout(done, 10));
  }
  return performance.now() - began;
}"""
SCROLL = """async ([selector, step, seconds]) => {
  const scroller = document.querySelector(selector);
  const tasks = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) tasks.push(entry.duration);
  });
  observer.observe({ type: 'longtask' });
  const frames = [];
  let nodes = 0;
  let direction = -1;
  const next = () => new Promise((done) => requestAnimationFrame(done));
  let last = await next();
  const end = last + seconds * 1000;
  while (last < end) {
    if (step === 'jump') {
      scroller.scrollTop = Math.random() * scroller.scrollHeight;
    } else {
      const before = scroller.scrollTop;
      scroller.scrollTop += direction * step;
      if (Math.abs(scroller.scrollTop - before) < 1) direction = -direction;
    }
    const now = await next();
    frames.push(now - last);
    last = now;
    nodes = Math.max(nodes, document.querySelectorAll('*').length);
  }
  observer.disconnect();
  frames.sort((a, b) => a - b);
  const at = (part) => frames[Math.min(frames.length - 1, Math.floor(frames.length * part))];
  return {
    frames: frames.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: frames.at(-1),
    slow: frames.filter((ms) => ms > 50).length, tasks: tasks.length,
    longest: Math.max(0, ...tasks), nodes,
  };
}"""
EMPTY = "<div id=s style='height:600px;overflow:auto'><div style='height:3000000px'></div></div>"


def row(number: int, at: datetime) -> dict[str, Any]:
    """A line of a length of its own; now and then one of several lines, or JSON."""
    text = f"INFO [worker-{number % 8}] order {number} " + "word " * (number * 7919 % 60)
    if number % 40 == 0:
        text += "".join(f"\n  setting {n} = {n}" for n in range(20))
    if number % 25 == 0:
        text = json.dumps({"level": "warn", "order": number, "text": text})
    if number % 30 == 0:
        text = f"\x1b[31mERROR\x1b[0m {text}"
    return {"@timestamp": moment(at), "message": text, "host": f"host{number % 9}"}


async def fill(store: Store, rows: int) -> None:
    first = datetime.now(UTC) - timedelta(hours=3)
    for start in range(0, rows, BODY_LINES):
        numbers = range(start, min(start + BODY_LINES, rows))
        await store.add(
            (row(n, first + timedelta(milliseconds=100 * n)) for n in numbers), app="bench"
        )


async def cpu_seconds(session: CDPSession) -> float:
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return float({metric["name"]: metric["value"] for metric in metrics}["TaskDuration"])


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        store = Store(Path(folder))
        await store.start()
        await fill(store, options.rows)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--enable-precise-memory-info"]
            )
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            session = await page.context.new_cdp_session(page)
            await session.send("Performance.enable")
            began = time.monotonic()
            await page.goto(f"{store.url}/?app=bench")
            await page.locator(".entry").first.wait_for()
            print(f"first lines after {1000 * (time.monotonic() - began):.0f} ms")
            loaded = await page.evaluate(LOAD, options.rows)
            print(f"{options.rows:,} rows fetched by scrolling in {loaded / 1000:.1f} s")
            print("scrolling      frames   p50   p95   p99  most  >50ms  long tasks  nodes  CPU/s")
            for name, step in (("slowly", 40), ("fast", 400), ("jumping", "jump")):
                before = await cpu_seconds(session)
                found = await page.evaluate(SCROLL, [".scroller", step, options.seconds])
                used = (await cpu_seconds(session) - before) / options.seconds
                show(name, found, used)
            heap = await page.evaluate("performance.memory.usedJSHeapSize")
            print(f"JavaScript's heap: {heap / 2**20:.0f} MiB")
            await page.goto("about:blank")
            await page.set_content(EMPTY)
            before = await cpu_seconds(session)
            found = await page.evaluate(SCROLL, ["#s", 400, options.seconds])
            used = (await cpu_seconds(session) - before) / options.seconds
            show("an empty page", found, used)
            await browser.close()
        await store.process.kill()


def show(name: str, found: dict[str, Any], used: float) -> None:
    print(
        f"{name:13} {found['frames']:7} {found['p50']:5.0f} {found['p95']:5.0f} {found['p99']:5.0f}"
        f" {found['most']:5.0f} {found['slow']:6} {found['tasks']:5} ({found['longest']:.0f} ms)"
        f" {found['nodes']:6} {used:6.2f}"
    )


asyncio.run(main())
