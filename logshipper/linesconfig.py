"""The [logshipper.lines] section: what is done to lines, and what documents carry besides."""

from collections.abc import Iterator
from typing import Annotated

from logshipper.lines.settings import check_settings
from logshipper.linesettings import LineSettings
from wharfinger.config import Section, doc
from wharfinger.errors import Finding


class LinesConfig(Section, frozen=True, kw_only=True):
    """What is done to lines, where a container's `wharfinger.logs.*` labels say nothing else."""

    multiline: Annotated[
        str,
        doc("java, python, go, node, or a pattern of an event's first line (RE2)."),
    ] = ""
    multiline_seconds: Annotated[
        float,
        doc("A line that comes later begins an event.", gt=0, le=20),
    ] = 1.0
    multiline_lines: Annotated[int, doc("An event has no more.", ge=1, le=10_000)] = 500
    parse: Annotated[
        str,
        doc("json, logfmt, nginx, cri, delimiter, or a pattern with named groups."),
    ] = ""
    delimiter: Annotated[str, doc("For `parse`: what is between columns.")] = ""
    columns: Annotated[tuple[str, ...], doc("For `parse`: the names of the columns.")] = ()
    field_names: Annotated[
        int,
        doc(
            "Names of parsed fields in one log; others go into `parsed_more`, as JSON text.",
            ge=1,
            le=100_000,
        ),
    ] = 400
    time: Annotated[
        str,
        doc(
            "A line's own time: auto, iso, apache, nginx, syslog, epoch (_ms, _us, _ns), or a "
            "format of strptime's; empty for Docker's.",
        ),
    ] = ""
    zone: Annotated[str, doc("Of times that name none: Asia/Shanghai, +08:00.")] = "UTC"
    time_field: Annotated[
        str, doc("Parsed field that holds the time; empty for the usual names.")
    ] = ""
    level: Annotated[
        str,
        doc("auto, off, or the parsed field that holds it; empty: what parsing finds."),
    ] = ""
    redact: Annotated[
        tuple[str, ...],
        doc("Of private-key, auth, jwt, aws, url, card, email; labels can add."),
    ] = ()
    redact_patterns: Annotated[
        tuple[str, ...], doc("Own ones (RE2); a group `secret` is all that goes.")
    ] = ()
    include: Annotated[tuple[str, ...], doc("Only lines that one of these is found in (RE2).")] = ()
    exclude: Annotated[tuple[str, ...], doc("No line that one of these is found in (RE2).")] = ()
    sample: Annotated[float, doc("Share of the lines that is shipped.", ge=0, le=1)] = 1.0
    rate: Annotated[
        float,
        doc("Lines a second of one container; labels can ask for less. 0: any.", ge=0),
    ] = 0.0
    burst: Annotated[float, doc("Lines that may come at once; 0: those of ten seconds.", ge=0)] = (
        0.0
    )
    labels: Annotated[
        tuple[str, ...],
        doc("Docker labels that documents carry, as label_NAME; `com.example.*`."),
    ] = ()
    variables: Annotated[
        tuple[str, ...],
        doc("Variables of containers that documents carry, as env_NAME."),
    ] = ()

    def settings(self) -> LineSettings:
        """The same, as the pipeline takes it."""
        return LineSettings(
            multiline=self.multiline,
            multiline_seconds=self.multiline_seconds,
            multiline_lines=self.multiline_lines,
            parse=self.parse,
            delimiter=self.delimiter,
            columns=self.columns,
            field_names=self.field_names,
            time=self.time,
            zone=self.zone,
            time_field=self.time_field,
            level=self.level,
            redact=self.redact,
            redact_patterns=self.redact_patterns,
            include=self.include,
            exclude=self.exclude,
            sample=self.sample,
            rate=self.rate,
            burst=self.burst,
        )

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        for name, why in check_settings(self.settings()):
            yield Finding(name, why)
