"""The server's data folder: the database, and one folder for each job; one server at a time."""

import fcntl
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.serving.job import is_id


class DataFolder:
    """Everything that outlives the server.

    Args:
        path: the folder; it is made where it is missing.

    Raises:
        InvalidInputError: if it cannot be used, or another server uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs = path / "jobs"
        try:
            self._jobs.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (path / "lock").open("w")
        except OSError as error:
            raise InvalidInputError(f"cannot use the data folder {path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise InvalidInputError(f"another server uses the data folder {path}; name another with --data.") from error

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database file."""
        return f"sqlite:///{self.path.absolute() / 'jobs.sqlite'}"

    def job(self, job_id: str) -> Path:
        """The folder of a job."""
        return self._jobs / job_id

    def make_job(self, job_id: str) -> Path:
        """Make the folder of a job."""
        folder = self.job(job_id)
        folder.mkdir()
        return folder

    def remove(self, job_ids: Iterable[str]) -> None:
        """Remove the folders of jobs."""
        for job_id in job_ids:
            shutil.rmtree(self.job(job_id), ignore_errors=True)

    def remove_all_but(self, job_ids: set[str]) -> None:
        """Remove folders of jobs that were never accepted: the process ended before."""
        self.remove(path.name for path in self._jobs.iterdir() if is_id(path.name) and path.name not in job_ids)

    def close(self) -> None:
        """Let another server use the folder."""
        self._lock.close()
