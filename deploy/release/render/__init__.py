"""Files for engines, made of a wharf.yaml: pure, and the same bytes for the same release."""

from deploy.release.render.files import files
from deploy.release.render.java.mounts import JavaMounts
from deploy.release.render.names import project

__all__ = ["JavaMounts", "files", "project"]
