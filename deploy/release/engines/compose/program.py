"""docker-compose, whichever there is: Compose v2 as a plugin of docker, or Python's 1.29."""

from pathlib import Path
from typing import Final

from deploy.release import programs
from deploy.release.progress import Progress
from wharfinger.errors import Unavailable

PLUGIN: Final = ("docker", "compose")
PROGRAM: Final = ("docker-compose",)
ASK_SECONDS: Final = 30.0
UP_SECONDS: Final = 900.0
PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"


class Compose:
    """One project of one service.

    Args:
        docker_url: of the engine.
        project: its name.
        service: of the one service in its file.
    """

    def __init__(self, docker_url: str, project: str, service: str) -> None:
        self._environment = {"DOCKER_HOST": docker_url, "COMPOSE_DISABLE_ENV_FILE": "1"}
        self._project = project
        self._service = service
        self._words: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """What every instance carries, in either version; those of `run` are none."""
        return {
            PROJECT_LABEL: self._project,
            SERVICE_LABEL: self._service,
            ONE_OFF_LABEL: "False",
        }

    async def found(self) -> str:
        """What it says of its version; asked once.

        Raises:
            Unavailable: there is none.
        """
        reasons = []
        for words in (PLUGIN, PROGRAM):
            try:
                said = await programs.run(*words, "version", timeout_seconds=ASK_SECONDS)
            except Unavailable as error:
                reasons.append(str(error).partition("\n")[0])
            else:
                self._words = words
                return said.partition("\n")[0]
        fix = "apt-get install docker-compose"
        raise Unavailable(f"there is no docker-compose ({'; '.join(reasons)}): {fix}")

    async def check(self, *files: Path) -> None:
        """Has it read the files.

        Raises:
            Unavailable: it refuses them; with its words.
        """
        await self._run(files, "config", "--quiet", timeout_seconds=ASK_SECONDS)

    async def scale(self, count: int, *files: Path, progress: Progress) -> None:
        """Has it start what is missing to so many containers, and touch none that is there.

        Raises:
            Unavailable: it does not, or not all of them start.
        """
        words = (
            "up",
            "--detach",
            "--no-recreate",
            "--no-build",
            f"--scale={self._service}={count}",
        )
        await self._run(files, *words, timeout_seconds=UP_SECONDS, progress=progress)

    async def _run(
        self,
        files: tuple[Path, ...],
        *words: str,
        timeout_seconds: float,
        progress: Progress | None = None,
    ) -> None:
        if not self._words:
            await self.found()
        # Not that of the working copy, whose .env is for other programs, and may be unreadable.
        folder = ("--project-directory", str(files[0].parent))
        named = [word for file in files for word in ("--file", str(file))]
        await programs.run(
            *(*self._words, "--project-name", self._project, *folder, *named, *words),
            environment=self._environment,
            timeout_seconds=timeout_seconds,
            on_line=progress.output if progress is not None else lambda _line: None,
        )
