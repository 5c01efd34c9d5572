"""What a resource's file shall hold: what its template says, or what it was rolled back to."""

from discovery.builtin.nginxfile import Site
from discovery.model import Snapshot
from discovery.publish.history import History
from discovery.resources.render import render
from discovery.resources.views import Rendered
from discovery.services.difference import Sight
from discovery.state import State


def wanted(
    history: History, state: State, snapshot: Snapshot | None, site: Site | None = None
) -> Rendered | None:
    """The content; None where the template does not compile, or etcd has not been heard yet.

    Raises:
        Rejected: the template fails, or the generation that is held is no longer kept.
    """
    name = state.resource.name
    hold = history.held(name) if state.resource.nginx is None else None
    state.held = hold.generation if hold else ""
    if hold is not None:
        return Rendered(history.content(name, hold.generation), sight=Sight())
    if state.template is None or snapshot is None:
        return None
    return render(state.resource, state.template, snapshot, site)
