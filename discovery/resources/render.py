"""Templates: compiled once, given typed values, kept in a sandbox."""

from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Protocol

from jinja2 import FileSystemLoader, TemplateError

from discovery.builtin import nginxfile
from discovery.builtin.config import NginxConfig
from discovery.builtin.nginxfile import Site
from discovery.builtin.virtualhosts import http_services
from discovery.confd.store import Store, instances_below, sight_of, visible, watched
from discovery.config import JINJA
from discovery.gotemplate import template as gotemplate
from discovery.gotemplate.confd.functions import confd_functions
from discovery.gotemplate.confd.host import Host
from discovery.gotemplate.errors import LimitExceeded
from discovery.gotemplate.limits import Budget, Limits
from discovery.model import Service, Snapshot
from discovery.resources import formats
from discovery.resources.machine import Machine
from discovery.resources.resources import Resource
from discovery.resources.sandbox import Sandbox, budgeted
from discovery.resources.stopwatch import stopwatch
from discovery.resources.views import Rendered, View
from wharfinger.errors import Rejected
from wharfinger.text import quantity, shortened

# Jinja2 has no other way to gather than `ns.all = ns.all + [each]`: of ten thousand instances
# these are copies of 400 MB, nearly all let go at once.
LIMITS: Final = Limits(held=512 * 2**20)
MAX_OUTPUT_CHARACTERS: Final = LIMITS.output
MAX_WHY_CHARACTERS: Final = 1000
_NGINX_SPECIAL: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})
# What the functions of confd's templates see, while one of them is rendered.
_STORE: ContextVar[Store] = ContextVar("store")
_NGINX_LONGEST: Final = 4000  # a token must fit Nginx's buffer of 4096 bytes (NGX_CONF_BUFFER)


class Template(Protocol):
    """A compiled template of some engine."""

    @property
    def surveys(self) -> bool:
        """Whether it speaks of all services, and not only of those that it asks for by name."""

    def render(self, view: View) -> str:
        """The text.

        Raises:
            Rejected: the template fails with these values.
        """


class JinjaTemplate:
    """A Jinja2 template; it and what it includes are read and compiled once.

    Raises:
        Rejected: it cannot be read or does not compile; with file and line.
    """

    def __init__(self, path: Path) -> None:
        self._environment = environment = Sandbox(FileSystemLoader(path.parent))
        environment.filters["nginx"] = nginx_quoted
        try:
            self._template = environment.get_template(path.name)
        except (TemplateError, OSError, UnicodeDecodeError) as error:
            raise Rejected(_told(error, path)) from None
        self._path = path

    @property
    def surveys(self) -> bool:
        """Whether it, or what it has included so far, speaks of all services."""
        return "services" in self._environment.names

    def render(self, view: View) -> str:
        """The text.

        Raises:
            Rejected: the template fails with these values, or writes without end.
        """
        store = view.store
        names: dict[str, Any] = {
            "services": view.services,
            "instances": view.instances,
            "exists": store.exists,
            "get": store.get,
            "gets": store.gets,
            "getv": store.getv,
            "getvs": store.getvs,
            "ls": store.ls,
            "lsdir": store.lsdir,
            **view.more,
        }
        parts, length = [], 0
        try:
            with budgeted(Budget(LIMITS, stopwatch())):
                for part in self._template.generate(names):
                    length += len(part)
                    if length > MAX_OUTPUT_CHARACTERS:
                        break
                    parts.append(part)
        except LimitExceeded as error:
            raise Rejected(_told(error, self._path)) from None
        except Rejected as error:
            raise Rejected(_short(f"{self._path}: {error}")) from None
        except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
            raise Rejected(_told(error, self._path)) from None
        if length > MAX_OUTPUT_CHARACTERS:
            raise Rejected(f"{self._path}: writes more than {MAX_OUTPUT_CHARACTERS:,} characters")
        return "".join(parts)


class GoTemplate:
    """A template of confd's; compiled when its file has changed, as a render finds it.

    Args:
        path: of the file.
        host: what its functions may ask of the machine.

    Raises:
        Rejected: it cannot be read or does not compile; with file and line.
    """

    def __init__(self, path: Path, host: Host) -> None:
        self._path = path
        self._functions = confd_functions(host, _STORE.get)
        self._compiled = self._compile()

    @property
    def surveys(self) -> bool:
        """Its functions know keys alone."""
        return False

    def render(self, view: View) -> str:
        """The text.

        Raises:
            Rejected: the template fails with these values, takes too much, or has changed and
                does not compile.
        """
        if _fingerprint(self._path) != self._compiled[0]:
            self._compiled = self._compile()
        _, template = self._compiled
        token = _STORE.set(view.store)
        try:
            return template.render(clock=stopwatch())
        except Rejected as error:
            raise Rejected(_short(str(error))) from None
        except Exception as error:  # noqa: BLE001 - a bug of ours must cost one file, not all
            why = f"template: {self._path.name}: {type(error).__name__}: {error}"
            raise Rejected(_short(why)) from None
        finally:
            _STORE.reset(token)

    def _compile(self) -> tuple[tuple[int, ...], gotemplate.Template]:
        fingerprint = _fingerprint(self._path)
        try:
            text = self._path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise Rejected(f"{self._path}: {error.strerror}") from None
        template = gotemplate.Template.parse(self._path.name, text, self._functions)
        return fingerprint, template


def compile_template(path: Path) -> Template:
    """The template, by the engine that its ending names.

    Raises:
        Rejected: it does not compile.
    """
    try:
        return JinjaTemplate(path) if path.suffix == JINJA else GoTemplate(path, Machine())
    except Rejected:
        raise
    # Jinja2 makes Python of it, which has limits of its own: loops in loops, digits, brackets.
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs one file, not all
        raise Rejected(_told(error, path)) from None


def render(
    resource: Resource, template: Template, snapshot: Snapshot, site: Site | None = None
) -> Rendered:
    """What the resource's file shall hold at this snapshot.

    Args:
        resource: whose file.
        template: its template.
        snapshot: what etcd says.
        site: what the built-in resource depends on beside it.

    Raises:
        Rejected: the template fails, or there are fewer instances than the resource must have.
    """
    require_instances(resource, snapshot)
    if resource.nginx is not None:
        return _render_nginx(resource.nginx, template, snapshot.services, site or Site())
    seen = visible(snapshot, keys=resource.keys, prefix=resource.prefix, raw=resource.raw)
    view = View(snapshot.services, Store(seen))
    text = template.render(view)
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Rejected(_told(error, resource.template)) from None
    formats.require(resource.output_format, content)
    services = None if template.surveys else frozenset(view.asked)
    sight = sight_of(
        keys=resource.keys, prefix=resource.prefix, raw=resource.raw, services=services
    )
    return Rendered(content, sight=sight)


def require_instances(resource: Resource, snapshot: Snapshot) -> None:
    """Checks that there are as many instances as the resource must have.

    Raises:
        Rejected: there are fewer.
    """
    if not resource.min_instances:
        return
    there = instances_below(snapshot, watched(resource.keys, resource.prefix))
    if there < resource.min_instances:
        raise Rejected(
            f"{there} of at least {quantity(resource.min_instances, 'instance')}: "
            "the last good file stays"
        )


def nginx_quoted(value: object) -> str:
    """A filter for Jinja2: the value as one quoted argument of an Nginx directive.

    Raises:
        Rejected: it has a `$`, which Nginx cannot be told to take for itself, or a control code.
    """
    text = str(value)
    if "$" in text or not text.isprintable() or len(text.encode()) > _NGINX_LONGEST:
        raise Rejected(f"{text[:80]!a} cannot stand in an Nginx configuration")
    return f'"{text.translate(_NGINX_SPECIAL)}"'


def _render_nginx(
    nginx: NginxConfig, template: Template, services: tuple[Service, ...], site: Site
) -> Rendered:
    pools = site.pools if site.pools is not None else nginxfile.pools_of(nginx, services)
    frame = site.frame or nginxfile.Frame()
    if not frame.text:
        names, frame.refused = nginxfile.variables(nginx, services, pools, site)
        # It asks for none of the keys that templates of the user's own see.
        frame.text = template.render(View(http_services(services), Store({}), names))
    text, generation = nginxfile.finished(frame.text, pools, site)
    return Rendered(text.encode(), generation, frame.refused)


def _fingerprint(path: Path) -> tuple[int, ...]:
    """Tells a file from what it was before."""
    try:
        found = path.stat()
    except OSError as error:
        raise Rejected(f"{path}: {error.strerror}") from None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _told(error: Exception, path: Path) -> str:
    line = getattr(error, "lineno", None)
    name = getattr(error, "filename", None) or path
    # For an error while rendering, Jinja2 rewrites the traceback to point into the template.
    trace = error.__traceback__
    while line is None and trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(str(path.parent)):
            name, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    kind = "" if isinstance(error, LimitExceeded) else f"{type(error).__name__}: "
    return _short(f"{name}{f' line {line}' if line else ''}: {kind}{error}")


def _short(why: str) -> str:
    """An error tells of the value that it is about, which may be a megabyte."""
    return shortened(why, MAX_WHY_CHARACTERS)
