"""Which sink each type is."""

from typing import assert_never

from logshipper.sinkconfig import (
    AnySink,
    BulkConfig,
    FileConfig,
    JsonlineConfig,
    KafkaConfig,
    LokiConfig,
    OtlpConfig,
    SlsConfig,
    StdoutConfig,
    SyslogConfig,
)
from logshipper.sinks.bulk import Bulk
from logshipper.sinks.contract import Sink
from logshipper.sinks.file import File
from logshipper.sinks.jsonline import Jsonline
from logshipper.sinks.kafka import Kafka
from logshipper.sinks.loki import Loki
from logshipper.sinks.otlp import Otlp
from logshipper.sinks.sls import Sls
from logshipper.sinks.stdout import Stdout
from logshipper.sinks.syslog import Syslog, SyslogDatagrams


def make(config: AnySink) -> Sink:  # noqa: C901, PLR0911 - one line for each type
    """Makes a sink; connects to nothing yet.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """
    match config:
        case BulkConfig():
            return Bulk(config)
        case LokiConfig():
            return Loki(config)
        case OtlpConfig():
            return Otlp(config)
        case JsonlineConfig():
            return Jsonline(config)
        case SlsConfig():
            return Sls(config)
        case SyslogConfig(transport="udp"):
            return SyslogDatagrams(config)
        case SyslogConfig():
            return Syslog(config)
        case FileConfig():
            return File(config)
        case StdoutConfig():
            return Stdout(config)
        case KafkaConfig():
            return Kafka(config)
        case _:
            assert_never(config)
