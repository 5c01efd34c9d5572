"""No template of Jinja2's hangs or eats the memory, and what templates do for a living they may."""

import resource
import time
from pathlib import Path

import pytest

from discovery.confd.store import Store
from discovery.gotemplate.limits import Limits
from discovery.model import Instance, Route, Service
from discovery.resources import render as rendering
from discovery.resources.render import JinjaTemplate
from discovery.resources.resources import TEMPLATES
from discovery.resources.views import View
from wharfinger.errors import Rejected

HELD_BY_A_SITE = rendering.LIMITS.held
STEPS, HELD, OUTPUT = "steps", "characters are made", "characters are written"
MANY_BYTES = 300 * 2**20


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LIMITS", Limits(steps=500_000, held=2**23, output=2**20))


def rendered(folder: Path, text: str) -> str:
    path = folder / "own.j2"
    path.write_text(text)
    keys = {f"/many/{number}": "x" for number in range(1000)}
    return JinjaTemplate(path).render(View((), Store(keys)))


START = '{% set ns = namespace(s="xxxxxxxxxx", l=[], m=[], t=(1,), n=3) %}'


def doubled(body: str, after: str = "") -> str:
    return f"{START}{{% for i in range(60) %}}{body}{{% endfor %}}{after}"


TWINS = "{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}"
TUPLES = "{% set ns.t = (ns.t, ns.t) %}"
END = "{% endif %}"
DEEP = "{% set ns.l = [ns.l] %}{% set ns.t = (ns.t,) %}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ (10 ** 1000) ** 10 ** 10 }}", "bits"),
        ("{{ (2 ** 4000) * (2 ** 4000) }}", "bits"),
        (doubled("{% set ns.n = ns.n * ns.n %}"), "bits"),
        ("{{ 'x' * 10 ** 10 }}", HELD),
        ("{{ 10 ** 10 * 'x' }}", HELD),
        ("{% set a = [1] * 10 ** 9 %}", HELD),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", STEPS),
        ("{% for a in range(99999) %}{% set x = ls('/many') %}{% endfor %}", STEPS + "|" + HELD),
        (doubled("{% set ns.s = ns.s ~ ns.s %}"), HELD),
        (doubled("{% set ns.s = ns.s + ns.s %}"), HELD),
        (doubled("{% set ns.l = ns.l + ns.l + [1] %}"), HELD),
        (doubled("{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"), OUTPUT),
        (doubled("{% set ns.s = ns.s | replace('x', 'xx') %}"), HELD),
        (doubled("{% set ns.s = ns.s.replace('x', 'xx') %}"), HELD),
        (doubled("{% set ns.s = ns.s.join(ns.s) %}"), HELD),
        (doubled("{% set ns.s = [ns.s, ns.s] | join %}"), HELD),
        (doubled("{% set ns.s = '%(a)s%(a)s' % {'a': ns.s} %}"), HELD),
        (doubled("{% set ns.s = '{0}{0}{0}'.format(ns.s) %}"), HELD),
        (doubled("{% set ns.s = '%s%s' | format(ns.s, ns.s) %}"), HELD),
        ("{{ 'x' | center(10 ** 9) }}", "center is asked for"),
        ("{{ 'x' | indent(10 ** 9) }}", "indent is asked for"),
        ("{{ [1] | batch(10 ** 9, 'x') | list }}", "batch is asked for"),
        ("{{ [1] | slice(10 ** 9) | list }}", "slice is asked for"),
        ("{{ 1 | round(10 ** 8, 'floor') }}", "round is asked for"),
        ("{{ [1] | tojson(indent=10 ** 9) }}", "tojson is asked for"),
        ("{{ 'x'.ljust(10 ** 10) }}", HELD),
        ("{{ 'x'.zfill(10 ** 10) }}", HELD),
        ("{{ ('\t' * 1000).expandtabs(10 ** 9) }}", HELD),
        ("{{ '%1000000000d' % 1 }}", "four digits"),
        ("{{ '%*d' % (10 ** 9, 1) }}", "four digits"),
        ("{{ '%.1000000000f' | format(1) }}", "four digits"),
        ("{{ '{:1000000000d}'.format(1) }}", "four digits"),
        ("{{ '{:{}}'.format(1, 10 ** 9) }}", "four digits"),
        ("{{ '{a:1000000000}'.format_map({'a': 1}) }}", "four digits"),
        ("{{ range(99999) | join('x' * 100000) }}", HELD),
        ("{{ ('x,' * 1000000).split(',') | length }}", HELD),
        ("{{ ('x' * 1000000) | list | length }}", HELD),
        ("{{ ([[1]] * 99999) | sum(start=[]) | length }}", HELD + "|" + STEPS),
        (START + "{% for i in range(99999) %}{% set x = ('x' * 99999)[1:] %}{% endfor %}", HELD),
        ("{% set x %}{% for i in range(99999) %}" + "y" * 9999 + "{% endfor %}{% endset %}", HELD),
        ("{% for x in 'x' * 999999 %}{% endfor %}", STEPS),
        (doubled(TWINS, "{{ ns.l }}"), STEPS),
        (doubled(TWINS, "{{ ns.l | string | length }}"), STEPS),
        (doubled(TWINS, "{{ ns.l | tojson }}"), STEPS),
        (doubled(TWINS, "{{ ns.l == ns.m }}"), STEPS),
        (doubled(TWINS, "{{ 1 < 2 < 3 and ns.l == ns.m == ns.l }}"), STEPS),
        (doubled(TWINS, "{{ ns.l in [ns.m] }}"), STEPS),
        (doubled(TWINS, "{{ ns.l is eq ns.m }}"), STEPS),
        (doubled(TWINS, "{{ [ns.l, ns.m] | sort }}"), STEPS),
        (doubled(TWINS, "{{ 'a' ~ ns.l }}"), STEPS),
        (doubled(TWINS, "{{ '%s' % (ns.l,) }}"), STEPS),
        (doubled(TWINS, "{{ '{}'.format(ns.l) }}"), STEPS),
        (doubled(TUPLES, "{{ {ns.t: 1} }}"), STEPS),
        (doubled(TUPLES, "{{ {}[ns.t] }}"), STEPS),
        (doubled(TUPLES, "{{ {}.get(ns.t) }}"), STEPS),
        (doubled("{% set ns.n = namespace(a=ns.n, b=ns.n) %}", "{{ ns.n }}"), STEPS),
        (START + "{% set ns.n = ns %}{{ ns }}", "nested more than|" + STEPS),
        (START + f"{{% for i in range(9999) %}}{DEEP}{{% endfor %}}{{{{ ns.l }}}}", "nested more"),
        (START + f"{{% for i in range(9999) %}}{DEEP}{{% endfor %}}{{{{ {{ns.t: 1}} }}}}",
         "nested more"),
        ("{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
         STEPS),
        ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(60) }}", "RecursionError"),
        ("{% include 'own.j2' %}", "RecursionError"),
        ("{% set n = n | default(40) - 1 %}{% if n %}" + 2 * "{% include 'own.j2' %}" + END,
         STEPS),
        ("{% block b %}{{ self.b() }}{% endblock %}", "RecursionError"),
        (("{% for i in [1] recursive %}{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}"
         "{% endfor %}"), STEPS),
        ("{{ lipsum(n=10 ** 9) }}", "undefined"),
        ("{{ (5).to_bytes(10 ** 9, 'big') }}", "unsafe"),
        ("{{ 'x'.encode().center(10 ** 10) }}", "unsafe"),
        ("{{ ('a' * 9999).translate({97: 'x' * 9999}) }}", "unsafe"),
        ("{{ 'x' | urlize }}", "No filter"),
    ],
)  # fmt: skip
def test_too_much_is_an_error_that_says_where(tmp_path: Path, text: str, why: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    with pytest.raises(Rejected, match=rf"own\.j2.*({why})"):
        rendered(tmp_path, text)
    assert time.process_time() - began < 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MANY_BYTES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for x in 'a,b'.split(',') %}{{ loop.index }}{{ x }}{{ loop.last }} {% endfor %}",
         "1aFalse 2bTrue "),
        ("{% for x in [3, 1, 2] | sort %}{{ loop.revindex0 }}:{{ x }} {% endfor %}",
         "2:1 1:2 0:3 "),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in {'a': 1, 'b': 2}.items() if v > 1 %}{{ k }}{% endfor %}", "b"),
        (("{% for x in range(3) recursive %}{{ x }}{% if x == 2 and loop.depth < 2 %}"
         "({{ loop(range(2)) }}){% endif %}{% endfor %}"), "012(01)"),
        ("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' in 'abc' }} {{ 4 not in [1] }}",
         "True False True True"),
        ("{{ 'a' ~ 1 ~ [2] }}", "a1[2]"),
        ("{{ 'abcdef'[1:-1:2] }} {{ [1, 2, 3][:2] }} {{ {'a': 1}['a'] }}", "bd [1, 2] 1"),
        ("{{ '%05.1f|%-4s|' % (1.25, 'x') }}{{ '{:>4}|'.format('y') }}",
         "001.2|x   |   y|"),
        ("{{ '%s and %s' | format('a', 'b') }} {{ 'x'.center(5) }}|", "a and b   x  |"),
        ("{{ [1, 2] | map('string') | join(', ') }} {{ ', '.join(['a', 'b']) }}", "1, 2 a, b"),
        ("{{ [1, 2, 3] | sum }} {{ [(1,), (2,)] | sum(start=()) }} {{ 'x' * 3 }} {{ 2 ** 10 }}",
         "6 (1, 2) xxx 1024"),
        ("{{ 'a.b' | replace('.', '-') }} {{ 'a.b'.replace('.', '-', 1) }} {{ 'x' | upper }}",
         "a-b a-b X"),
        ("{{ {'a': [1]} | tojson }} {{ [1, 2, 3] | batch(2) | list }} {{ 2.567 | round(1) }}",
         '{"a": [1]} [[1, 2], [3]] 2.6'),
        (("{% set ns = namespace(n=0) %}{% for x in [1, 2] %}{% set ns.n = ns.n + x %}{% endfor %}"
         "{{ ns.n }}"), "3"),
        (("{% macro m(x, y=2) %}{{ x }}{{ y }}{% endmacro %}{{ m(1) }}"
         "{% macro n() %}<{{ caller() }}>{% endmacro %}{% call n() %}c{% endcall %}"), "12<c>"),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x }}{% filter upper %}b{% endfilter %}", "a1B"),
        ("{{ getvs('/many/1') }}{{ 'none' if not exists('/none') }}", "['x']none"),
        ("{{ none }}{{ 1.5 }}{{ true }}{{ {(1, 2): 3}[(1, 2)] }}", "None1.5True3"),
    ],
)  # fmt: skip
def test_what_templates_do_for_a_living_they_may(tmp_path: Path, text: str, expected: str) -> None:
    assert rendered(tmp_path, text) == expected


GATHERED = """\
{% set ns = namespace(all=[]) %}
{% for service in services %}{% for instance in service.instances %}
{% set ns.all = ns.all + [instance] %}
{% endfor %}{% endfor %}
{% for host, each in ns.all | groupby("host") %}
{{ host }} {{ each | map(attribute="address") | join(",") }}
{% endfor %}
"""


@pytest.mark.parametrize("text", [GATHERED, (TEMPLATES / "haproxy.cfg.j2").read_text()])
def test_a_site_of_ten_thousand_instances_is_within_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(rendering, "LIMITS", Limits(held=HELD_BY_A_SITE, seconds=600.0))
    services = []
    for number in range(2000):
        name, host = f"s{number}_prod", f"s{number}.test"
        instances = tuple(
            Instance(f"10.0.{number >> 8}.{number & 255}", 20_000 + port, host=f"h{number % 100}")
            for port in range(5)
        )
        routes = (Route(host, "/"), Route(host, "/api"))
        services.append(Service(name, f"s{number}", "prod", instances, routes))
    path = tmp_path / "own.j2"
    path.write_text(text)
    written = JinjaTemplate(path).render(View(tuple(services), Store({})))
    assert written.count("10.0.") >= 10_000
