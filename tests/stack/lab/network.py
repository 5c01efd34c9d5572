"""The network of a lab: one switch, a cable to each host, and packets that vanish silently."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.stack.lab.namespaces import Namespaces
from wharfinger.operator.parts.command import output

PREFIX = "10.77.0"
# In front of everything else, so that what goes on to containers is dropped, too.
IPTABLES = ("iptables", "--table", "raw", "--wait", "10")


class Network:
    """A bridge in namespaces of its own; nothing leads from it to the machine's networks.

    Attributes:
        switch: the namespaces of the bridge, with an address of their own: what is to be asked or
            sent from outside of all hosts starts there.
        ip: that address.
        names: the file of the hosts' names, /etc/hosts to all of them.
    """

    def __init__(self, names: Path) -> None:
        self.names = names
        self.switch = Namespaces("client", names)
        self.ip = f"{PREFIX}.1"
        self._addresses: dict[Namespaces, str] = {self.switch: self.ip}
        self._deaf: set[Silence] = set()

    async def open(self) -> None:
        """Makes the bridge.

        Raises:
            Unavailable: the kernel refuses.
        """
        await self.switch.open()
        await self.switch.run(
            *("sh", "-ec"),
            "ip link add lab0 type bridge; ip link set lab0 up"
            f"; ip address add {self.ip}/24 dev lab0",
        )

    async def close(self) -> None:
        """Takes the bridge away."""
        await self.switch.close()

    async def plug(self, host: Namespaces, ip: str) -> None:
        """Gives a host its `eth0`, with the same addresses each time."""
        self._addresses[host] = ip
        number = int(ip.rpartition(".")[2])
        port, hardware = f"port{number}", f"02:00:0a:4d:00:{number:02x}"
        # Seen from inside, the host would have no process id: this one is taken from here.
        await output(
            *("nsenter", "--target", str(self.switch.init_pid), "--net", "--", "sh", "-ec"),
            f"ip link add {port} type veth peer name eth0 address {hardware} netns {host.init_pid}"
            f"; ip link set {port} master lab0 up",
        )
        await host.run(
            *("sh", "-ec"),
            f"ip address add {ip}/24 dev eth0; ip link set eth0 up"
            f"; ip route add default via {self.ip}",
        )
        await self._apply("--append", [each for each in self._deaf if each.hearer is host])

    async def unplug(self, host: Namespaces) -> None:
        """Pulls the cable, if it is in."""
        number = int(self._addresses[host].rpartition(".")[2])
        delete = f"! ip link show port{number} 2>/dev/null || ip link delete port{number}"
        await self.switch.run("sh", "-ec", delete)

    def without(self, host: Namespaces) -> tuple[Namespaces, ...]:
        """All others, the switch among them."""
        return tuple(each for each in self._addresses if each is not host)

    async def part(
        self, host: Namespaces, others: Iterable[Namespaces], ports: Sequence[int] = ()
    ) -> None:
        """Neither hears the other; with ports, nothing passes that comes from one or goes to it."""
        pairs = [pair for other in others for pair in ((host, other), (other, host))]
        await self._silence(pairs, ports)

    async def deafen(self, host: Namespaces, others: Iterable[Namespaces]) -> None:
        """The host does not hear the others."""
        await self._silence([(host, other) for other in others])

    async def heal(self, host: Namespaces) -> None:
        """All that was between the host and others is over."""
        over = [each for each in self._deaf if host in {each.hearer, each.speaker}]
        self._deaf -= set(over)
        await self._apply("--delete", over)

    async def _silence(
        self, pairs: Iterable[tuple[Namespaces, Namespaces]], ports: Sequence[int] = ()
    ) -> None:
        fresh = {Silence(*pair, tuple(ports)) for pair in pairs} - self._deaf
        self._deaf |= fresh
        await self._apply("--append", fresh)

    async def _apply(self, verb: str, silences: Iterable["Silence"]) -> None:
        """A rule each, where the hearer is on: all that one hears is its own host's matter."""
        await asyncio.gather(
            *(
                each.hearer.run(*IPTABLES, verb, "PREROUTING", *self._rule(each))
                for each in silences
                if each.hearer.running
            )
        )

    def _rule(self, silence: "Silence") -> list[str]:
        words = ["--source", self._addresses[silence.speaker], "--jump", "DROP"]
        if silence.ports:
            listed = ",".join(map(str, silence.ports))
            words += ["--protocol", "tcp", "--match", "multiport", "--ports", listed]
        return words


@dataclass(frozen=True, slots=True)
class Silence:
    """What the hearer does not get from the speaker.

    Attributes:
        hearer: who hears nothing.
        speaker: of whom.
        ports: only what comes from or goes to these TCP ports; all if there is none.
    """

    hearer: Namespaces
    speaker: Namespaces
    ports: tuple[int, ...] = ()
