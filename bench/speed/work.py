"""What is done to the lines in each row of the table, as either shipper is told to."""

from dataclasses import dataclass
from typing import Final

# One parser for each kind of line that has a time, the commonest first.
PARSERS: Final = r"""
[PARSER]
    Name logger_time
    Format regex
    Regex ^(?<own>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})
    Time_Key own
    Time_Format %Y-%m-%d %H:%M:%S,%L
[PARSER]
    Name access_time
    Format regex
    Regex \[(?<own>\d\d/[A-Z][a-z][a-z]/\d{4}:[^\]]+)\]
    Time_Key own
    Time_Format %d/%b/%Y:%H:%M:%S %z
[PARSER]
    Name json_time
    Format regex
    Regex "ts": "(?<own>[^"]+)"
    Time_Key own
    Time_Format %Y-%m-%dT%H:%M:%S.%LZ
[PARSER]
    Name app_json
    Format json
    Time_Key ts
    Time_Format %Y-%m-%dT%H:%M:%S.%LZ
"""
REDACT_LUA: Final = r"""
local function auth(text)
  local count, more
  text, count = text:gsub("([Bb]earer +)[%w._~+/=-]+", "%1[redacted:auth]")
  text, more = text:gsub("([Bb]asic +)[%w+/]+=*", "%1[redacted:auth]")
  return text, count + more
end
function redact(tag, timestamp, record)
  local text = record["log"]
  local total, count = 0, 0
  if text:find("earer ", 1, true) or text:find("asic ", 1, true) then
    text, count = auth(text)
    total = total + count
  end
  if text:find("eyJ", 1, true) then
    text, count = text:gsub("eyJ[%w_-]+%.eyJ[%w_-]+%.[%w_-]*", "[redacted:jwt]")
    total = total + count
  end
  if text:find("://", 1, true) then
    text, count = text:gsub("(://[^%s/?#@:\"'<>]*:)[^%s/?#\"'<>]*@", "%1[redacted:url]@")
    total = total + count
  end
  if total == 0 then
    return 0, timestamp, record
  end
  record["log"] = text
  return 2, timestamp, record
end
"""
_JAVA: Final = """
[FILTER]
    Name multiline
    Match *
    multiline.key_content log
    multiline.parser java
    emitter_mem_buf_limit 128M
"""
_JSON: Final = """
[FILTER]
    Name parser
    Match *
    Key_Name log
    Parser app_json
    Reserve_Data On
"""
_TIMES: Final = """
[FILTER]
    Name parser
    Match *
    Key_Name log
    Parser logger_time
    Parser json_time
    Parser access_time
    Reserve_Data On
    Preserve_Key On
"""
_REDACT: Final = """
[FILTER]
    Name lua
    Match *
    script redact.lua
    call redact
"""


@dataclass(frozen=True)
class Work:
    """One row.

    Attributes:
        title: of the row.
        lines: what stands in our [logshipper.lines].
        filters: what stands before the filter that adds fields.
        tagged: on a file that Docker writes with `--log-opt tag`.
        gzip: whether bodies are packed.
        grouped: lines are put together, and not the same ones by both.
    """

    title: str
    lines: str = ""
    filters: str = ""
    tagged: bool = False
    gzip: bool = True
    grouped: bool = False


WORKS: Final = {
    "spliced": Work("as it is"),
    "unpacked": Work("as it is, bodies not packed", gzip=False),
    "tagged": Work("as it is, of a file with `tag`", tagged=True),
    "java": Work("Java's traces put together", 'multiline = "java"', _JAVA, grouped=True),
    "json": Work(
        "JSON parsed, with its time", 'parse = "json"\ntime = "iso"\ntime_field = "ts"', _JSON
    ),
    "times": Work("each line's own time", 'time = "auto"', _TIMES),
    "redact": Work("tokens and passwords redacted", 'redact = ["auth", "jwt", "url"]', _REDACT),
    "all": Work(
        "traces, JSON, its time, redaction",
        'multiline = "java"\nparse = "json"\ntime = "iso"\ntime_field = "ts"\n'
        'redact = ["auth", "jwt", "url"]',
        _JAVA + _REDACT + _JSON,
        grouped=True,
    ),
}
