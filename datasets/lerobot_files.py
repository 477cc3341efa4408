"""Where a LeRobot dataset's files are: in a folder, or on the Hub, from where they come when they are asked for."""

import re
from dataclasses import dataclass
from pathlib import Path

from cosmos_robot.errors import EpisodeError, InvalidInputError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class DatasetFiles:
    """The files of one dataset.

    Attributes:
        root: the folder; for a repository the snapshot in the local cache.
        repository: id on the Hub, or None for a folder.
    """

    root: Path
    repository: str | None = None

    def local(self, relative: str) -> Path:
        """Path of a file, which may still be missing; a repository's file is downloaded.

        Raises:
            EpisodeError: if the Hub has no such file or cannot be reached.
        """
        path = self.root / relative
        if self.repository is not None and not path.is_file():
            _download_file(self.repository, relative, revision=self.root.name)
        return path

    def is_here(self, relative: str) -> bool:
        """Whether a file or folder is on this machine, without asking the Hub."""
        return (self.root / relative).exists()


def hub_files(repository: str) -> DatasetFiles:
    """Fetch the metadata of a dataset on the Hub; data and videos come when they are asked for.

    Offline mode (`HF_HUB_OFFLINE`) is honoured: then the local cache is all there is.

    Raises:
        InvalidInputError: if it is no id, or the Hub does not know it, refuses, or cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    no_id = f"no dataset at {repository!r}: it is neither a file or folder nor a Hub id such as lerobot/pusht."
    if not HUB_ID.fullmatch(repository):
        raise InvalidInputError(no_id)
    try:
        root = Path(snapshot_download(repository, repo_type="dataset", allow_patterns=["meta/*"]))
    except HFValidationError:
        raise InvalidInputError(no_id) from None
    except GatedRepoError:
        raise InvalidInputError(
            f"the dataset {repository} is gated: accept its terms on its Hub page, then log in with `hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise InvalidInputError(
            f"no file or folder {repository!r} is here, and the Hub has no dataset of that name for you: check the "
            f"name, and log in with `hf auth login` if it is private."
        ) from None
    except LocalEntryNotFoundError:
        raise InvalidInputError(
            f"no file or folder {repository!r} is here, and as a Hub dataset it is not in the local cache and the Hub "
            f"cannot be reached (no network, or HF_HUB_OFFLINE is set); connect, or give a folder's path."
        ) from None
    except HfHubHTTPError as error:
        raise InvalidInputError(
            f"no file or folder {repository!r} is here, and as a Hub dataset it does not download: {error}."
        ) from error
    if not (root / "meta" / "info.json").is_file():
        raise InvalidInputError(f"the Hub dataset {repository} has no meta/info.json: it is no LeRobot dataset.")
    return DatasetFiles(root, repository)


def _download_file(repository: str, relative: str, *, revision: str) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        hf_hub_download(repository, relative, repo_type="dataset", revision=revision)
    except LocalEntryNotFoundError:
        raise EpisodeError(
            f"{relative} of the Hub dataset {repository} is not in the local cache and the Hub cannot be reached (no "
            f"network, or HF_HUB_OFFLINE is set)."
        ) from None
    except EntryNotFoundError:
        raise EpisodeError(f"the Hub dataset {repository} has no file {relative}.") from None
    except (HfHubHTTPError, OSError) as error:
        raise EpisodeError(f"{relative} of the Hub dataset {repository} does not download: {error}.") from error
