"""Measures what rendering a list of servers costs: confd's templates beside Jinja2's.

    python bench/gotemplate.py [--repeat 7]

CPU seconds and the ratio hold on a busy machine too; the least of the repetitions is shown.
"""

import argparse
import tempfile
import time
from pathlib import Path

from discovery.model import Instance, Service, Snapshot
from discovery.resources.render import Template, compile_template, render
from discovery.resources.resources import Resource

SIZES = (10, 1_000, 10_000)
TEMPLATES = {
    "a line each": (
        'upstream app {\n{{range getvs "/app_prod/*"}}server {{.}};\n{{end}}}\n',
        "upstream app {\n{% for it in getvs('/app_prod/*') %}\nserver {{ it }};\n{% endfor %}\n}\n",
    ),
    "keys, a condition, a function": (
        """{{range gets "/app_prod/*"}}{{if .Value}}  server {{.Value}}; # {{base .Key}}
{{end}}{{end}}""",
        """{% for it in gets('/app_prod/*') %}{% if it.value %}
  server {{ it.value }}; # {{ it.key.rpartition('/')[2] }}
{% endif %}{% endfor %}""",
    ),
}


def snapshot(size: int) -> Snapshot:
    """One service of so many instances."""
    addresses = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(size))
    instances = tuple(Instance(address, 8080) for address in addresses)
    return Snapshot(1, (Service("app_prod", "app", "prod", instances),))


def least_cpu_seconds(resource: Resource, template: Template, seen: Snapshot, repeat: int) -> float:
    """Of a whole render: the view of the keys, and the template."""
    least = float("inf")
    for _ in range(repeat):
        before = time.process_time()
        render(resource, template, seen)
        least = min(least, time.process_time() - before)
    return least


def compile_seconds(path: Path, repeat: int) -> float:
    """Of reading and compiling."""
    least = float("inf")
    for _ in range(repeat):
        before = time.process_time()
        compile_template(path)
        least = min(least, time.process_time() - before)
    return least


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    print(f"{'template':32}{'servers':>8}{'confd ms':>10}{'Jinja2 ms':>11}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for name, texts in TEMPLATES.items():
            paths = [Path(folder) / "own.tmpl", Path(folder) / "own.j2"]
            for path, text in zip(paths, texts, strict=True):
                path.write_text(text)
            templates = [compile_template(path) for path in paths]
            for size in SIZES:
                seen = snapshot(size)
                costs = [
                    least_cpu_seconds(Resource("own", path, path), template, seen, repeat)
                    for path, template in zip(paths, templates, strict=True)
                ]
                ours, jinja = (cost * 1000 for cost in costs)
                print(f"{name:32}{size:>8}{ours:>10.2f}{jinja:>11.2f}{ours / jinja:>7.1f}")
            compiled = [1000 * compile_seconds(path, repeat) for path in paths]
            print(f"{'  compiling it, once':40}{compiled[0]:>10.2f}{compiled[1]:>11.2f}")


if __name__ == "__main__":
    main()
