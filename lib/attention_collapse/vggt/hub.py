"""Released weights: one checkpoint file from the Hugging Face Hub, kept in its cache."""

import logging
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)

VGGT_REPOSITORY = "facebook/VGGT-1B"

CHECKPOINT_FILE = "model.safetensors"

# By class of error in huggingface_hub, the first that fits: what is wrong, and what to do.
CAUSES = {
    "HFValidationError": f"is not the name of a repository; it must look like {VGGT_REPOSITORY}",
    "GatedRepoError": "asks for a permission; accept its terms on its page and log in with hf auth",
    "RepositoryNotFoundError": "does not exist or is private; check its name",
    "RevisionNotFoundError": "has no such revision; leave the revision out for the latest state",
    "LocalEntryNotFoundError": (
        "cannot be reached and the file is not in the cache; connect to the network, or pass the "
        "path of a file that you have to from_checkpoint"
    ),
    "EntryNotFoundError": "has no such file; look up the name of the file on its page",
}


class DownloadError(OSError):
    """A checkpoint cannot be downloaded.

    Home section: *Notation*.
    """


def download_checkpoint(
    repository: str = VGGT_REPOSITORY,
    *,
    file: str = CHECKPOINT_FILE,
    revision: str | None = None,
) -> Path:
    """The path of a checkpoint of the Hugging Face Hub, downloaded unless the cache has it.

    The package ``huggingface_hub`` downloads to a temporary name, goes on where a broken download
    stopped, and moves the file to its place once it is complete. Without a network the file comes
    from the cache.

    The weights are not part of this package and have a licence of their own: ``facebook/VGGT-1B``
    (5 GB) VGGT's, which allows non-commercial use only. A line about the licence is logged before
    a download, as a warning so that it shows.

    Args:
        repository: Owner and name of the repository.
        file: The file in it.
        revision: Branch, tag or commit; ``None`` takes the latest state.

    Raises:
        ImportError: The package ``huggingface_hub`` is missing.
        DownloadError: The file does not exist, needs a permission, or cannot be fetched.

    Home section: *Notation*.
    """
    hub = _hub()
    try:
        cached = hub.try_to_load_from_cache(repository, file, revision=revision)
        if not isinstance(cached, str):
            _state_licence(repository)
        return Path(hub.hf_hub_download(repository, file, revision=revision))
    except Exception as error:
        # Below the hub's own errors lie those of its network library, which has changed once.
        raise DownloadError(f"{file} of {repository}: {_cause(error, hub)}") from error


def _hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError(
            "downloading weights needs the package huggingface_hub: pip install huggingface_hub, "
            "or download the file by hand and pass its path to from_checkpoint"
        ) from error
    return huggingface_hub


def _state_licence(repository: str) -> None:
    page = f"https://huggingface.co/{repository}"
    if repository == VGGT_REPOSITORY:
        terms = "VGGT's own licence, for non-commercial use only"
    else:
        terms = "a licence of their own"
    logger.warning("The weights of %s have %s; downloading them from %s", repository, terms, page)


def _cause(error: Exception, hub: ModuleType) -> str:
    for name, cause in CAUSES.items():
        if isinstance(error, getattr(hub.errors, name)):
            return f"the repository {cause}"
    return f"the download stopped ({error}); run it again, it goes on where it stopped"
