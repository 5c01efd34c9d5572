"""The network of a lab: one switch, a cable to each host, and packets that vanish silently."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from tests.stack.lab.namespaces import Namespaces
from wharfinger.operator.parts.command import output

PREFIX = "10.77.0"
# In front of everything else, so that what goes on to containers is dropped, too.
DROP = ("--table", "raw", "--wait", "10")


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
        self._deaf: set[tuple[Namespaces, Namespaces]] = set()

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
        again = [(hearer, speaker) for hearer, speaker in self._deaf if hearer is host]
        await asyncio.gather(*(self._rule("--append", *pair) for pair in again))

    async def unplug(self, host: Namespaces) -> None:
        """Pulls the cable."""
        number = int(self._addresses[host].rpartition(".")[2])
        await self.switch.run("ip", "link", "delete", f"port{number}")

    def without(self, host: Namespaces) -> tuple[Namespaces, ...]:
        """All others, the switch among them."""
        return tuple(each for each in self._addresses if each is not host)

    async def part(self, host: Namespaces, others: Iterable[Namespaces]) -> None:
        """Neither hears the other."""
        pairs = [pair for other in others for pair in ((host, other), (other, host))]
        await self._silence(pairs)

    async def deafen(self, host: Namespaces, others: Iterable[Namespaces]) -> None:
        """The host does not hear the others."""
        await self._silence([(host, other) for other in others])

    async def heal(self, host: Namespaces) -> None:
        """All that was between the host and others is over."""
        pairs = {pair for pair in self._deaf if host in pair}
        self._deaf -= pairs
        running = [pair for pair in pairs if pair[0].running]
        await asyncio.gather(*(self._rule("--delete", *pair) for pair in running))

    async def _silence(self, pairs: Iterable[tuple[Namespaces, Namespaces]]) -> None:
        fresh = set(pairs) - self._deaf
        self._deaf |= fresh
        running = [pair for pair in fresh if pair[0].running]
        await asyncio.gather(*(self._rule("--append", *pair) for pair in running))

    async def _rule(self, verb: str, hearer: Namespaces, speaker: Namespaces) -> None:
        source = self._addresses[speaker]
        await hearer.run(
            "iptables", *DROP, verb, "PREROUTING", "--source", source, "--jump", "DROP"
        )
