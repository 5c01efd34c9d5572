"""Who hears of a release: people in a chat room, by e-mail, a program by webhook."""

from deploy.release.notify.config import NotifyConfig
from deploy.release.notify.notice import Notice
from deploy.release.notify.sending import send

__all__ = ["Notice", "NotifyConfig", "send"]
