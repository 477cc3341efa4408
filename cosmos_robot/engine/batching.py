"""Which requests share a forward pass, and what the caller is told meanwhile."""

from collections.abc import Callable, Hashable, Sequence

from cosmos_robot.types import Progress


def batches(kinds: Sequence[Hashable], prompt_lengths: Sequence[int], max_batch: int) -> list[list[int]]:
    """Cut requests into batches of one kind, equally long prompts side by side.

    Args:
        kinds: of each request.
        prompt_lengths: tokens of each request's prompt.
        max_batch: most requests of one batch.

    Returns:
        Indices of each batch's requests.
    """
    members: dict[Hashable, list[int]] = {}
    for index, kind in enumerate(kinds):
        members.setdefault(kind, []).append(index)
    cut = []
    for same in members.values():
        same.sort(key=lambda i: prompt_lengths[i])
        cut += [same[k : k + max_batch] for k in range(0, len(same), max_batch)]
    return cut


def counter(progress: Progress | None, total: int) -> Callable[[], None]:
    """Make a function that counts denoising steps for the caller, of `total` in all."""
    done = 0

    def step_done() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return step_done
