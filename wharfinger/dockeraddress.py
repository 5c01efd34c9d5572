"""Where the engine is reached, and what to do when it is not."""

import errno


def unreachable(url: str, cause: BaseException | None) -> str | None:
    """Why nobody answers there, and what to do about it; None where the cause says nothing.

    Args:
        url: of the engine.
        cause: what was raised.
    """
    match cause.errno if isinstance(cause, OSError) else None:
        case errno.EACCES | errno.EPERM:
            fix = (
                "permission denied: run as root, or as a user in the socket's group "
                "(`usermod -aG docker USER`, or SupplementaryGroups=docker in the unit)"
            )
        case errno.ENOENT:
            fix = "there is no such socket: is dockerd running? is [docker] url right?"
        case errno.ECONNREFUSED:
            fix = "nobody listens there: dockerd is down or starting"
        case _:
            return None
    return f"Docker at {url} cannot be reached: {fix}"
