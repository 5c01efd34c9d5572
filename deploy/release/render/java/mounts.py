"""What of a host's JDK a container must see."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JavaMounts:
    """Paths that are the same on the host and in the container, for reading.

    Attributes:
        home: JAVA_HOME; one of the paths.
        paths: sorted, none below another.
    """

    home: str
    paths: tuple[str, ...]
