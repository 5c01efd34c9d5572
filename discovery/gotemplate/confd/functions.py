"""All functions that a template of confd's may call."""

from discovery.gotemplate.confd.collections import COLLECTIONS
from discovery.gotemplate.confd.encodings import ENCODINGS
from discovery.gotemplate.confd.host import Host, host_functions
from discovery.gotemplate.confd.integers import INTEGERS
from discovery.gotemplate.confd.keys import Keys, store_functions
from discovery.gotemplate.confd.strings import STRINGS
from discovery.gotemplate.functions import FunctionMap


def confd_functions(host: Host, keys: Keys) -> FunctionMap:
    """The 39 functions of confd, and the three that its living fork adds for hosts.

    Args:
        host: what they may ask of the machine.
        keys: says which keys they see, each time that they are called.
    """
    return {
        **STRINGS,
        **INTEGERS,
        **ENCODINGS,
        **COLLECTIONS,
        **host_functions(host),
        **store_functions(keys),
    }
