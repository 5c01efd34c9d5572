"""What is told of a release or a pipeline, and how it reads; pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from wharfinger.text import printable, shortened

_MAX_WHY: Final = 1_500
_MAX_VALUE: Final = 300


class Outcome(StrEnum):
    """How it ended."""

    PASSED = "passed"
    FAILED = "failed"


class Format(StrEnum):
    """How a webhook wants to be told: all fields, or a text for a chat room."""

    JSON = "json"
    SLACK = "slack"
    DINGTALK = "dingtalk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that ended.

    Attributes:
        outcome: how.
        what: that ended: `up`, `promote`, `pipeline`.
        app: of wharf.yaml.
        environment: empty where it is about none.
        release: `r12`; empty where there is none yet.
        image: by digest; empty where there is none yet.
        by: who did it.
        at: when it ended, RFC 3339.
        why: what went wrong, of several lines maybe.
        url: where more is to be read.
    """

    outcome: Outcome
    what: str
    app: str
    environment: str = ""
    release: str = ""
    image: str = ""
    by: str = ""
    at: str = ""
    why: str = ""
    url: str = ""

    @property
    def subject(self) -> str:
        """One line."""
        said = [self.app, self.what, self.environment, self.release, self.outcome]
        return printable(shortened(" ".join(word for word in said if word), _MAX_VALUE))

    @property
    def text(self) -> str:
        """All of it, in lines; nothing in it but printable characters and ends of lines."""
        said = ((name, getattr(self, name)) for name in ("image", "by", "at", "url"))
        lines = [self.subject]
        lines += [f"{name}: {printable(shortened(v, _MAX_VALUE))}" for name, v in said if v]
        if self.why:
            # The end says what went wrong; what comes before it led there.
            tail = self.why[-_MAX_WHY:]
            lines += ["", *(printable(line) for line in tail.splitlines())]
        return "\n".join(lines)


def body(notice: Notice, wanted: Format) -> dict[str, Any]:
    """What a webhook is sent.

    Sources: Slack, "Sending messages using incoming webhooks" (Mattermost and Rocket.Chat take the
    same); DingTalk, "Custom robots", message type text.
    """
    match wanted:
        case Format.SLACK:
            return {"text": _unmarked(notice.text)}
        case Format.DINGTALK:
            return {"msgtype": "text", "text": {"content": notice.text}}
        case Format.JSON:
            return {
                "outcome": str(notice.outcome),
                "what": notice.what,
                "app": notice.app,
                "environment": notice.environment,
                "release": notice.release,
                "image": notice.image,
                "by": notice.by,
                "at": notice.at,
                "why": notice.why[-_MAX_WHY:],
                "url": notice.url,
            }


def _unmarked(text: str) -> str:
    """Without what would call everybody or make links: `<!channel>`, `<http://...|bank>`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
