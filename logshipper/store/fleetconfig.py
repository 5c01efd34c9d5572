"""The [logstore.fleet] section: whether the store tells of the whole fleet, too."""

from typing import Annotated

from wharfinger.config import Section, doc


class FleetConfig(Section, frozen=True, kw_only=True):
    """The fleet: every service, host and order, as etcd has them."""

    enabled: Annotated[
        bool,
        doc("Watch etcd ([etcd]), and show and drain what runs, at /fleet.", restart=True),
    ] = False
