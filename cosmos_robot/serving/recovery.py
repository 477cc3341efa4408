"""Jobs that were left running: by a process that was killed, a worker that died, a database that was away."""

from cosmos_robot.serving.answer import read_answer
from cosmos_robot.serving.data_folder import DataFolder
from cosmos_robot.serving.job import Job, JobState
from cosmos_robot.serving.job_store import MAX_ATTEMPTS, JobStore
from cosmos_robot.serving.problems import INTERNAL_MESSAGE, Kind, Problem

_RESTARTED = Problem(Kind.UNAVAILABLE, "the server was started again while this was being answered; ask again.")
_TOO_OFTEN = Problem(Kind.INTERNAL, f"the server failed {MAX_ATTEMPTS} times at this request; it is not tried again.")


def recover(store: JobStore, folder: DataFolder, *, restarted: bool = False) -> list[str]:
    """End what has its answer, put the rest back into the queue or give it up; nothing may be generating meanwhile.

    Args:
        store: with the jobs.
        folder: with their files.
        restarted: whether this is another process, so that nobody waits for attached jobs any more.

    Returns:
        The ids of jobs that changed.
    """
    return [job.id for job in store.open_jobs() if _recover(job, store, folder, restarted=restarted)]


def give_up_first(store: JobStore) -> list[str]:
    """Fail the one job that is likeliest in the way of a worker that dies whatever it does.

    It is one that was running, else the one that waits longest. Of its row nothing but the id is read: what cannot be
    read may be what the worker dies of.

    Returns:
        Its id, if there is one.
    """
    job_id = store.first_open()
    return [job_id] if job_id is not None and store.fail(job_id, Problem(Kind.INTERNAL, INTERNAL_MESSAGE)) else []


def _recover(job: Job, store: JobStore, folder: DataFolder, *, restarted: bool) -> bool:
    running = job.state is JobState.RUNNING
    answer = read_answer(folder.job(job.id)) if running else None
    if answer is not None:
        return store.finish(job.id, answer.notes)
    if restarted and job.attached:
        return store.fail(job.id, _RESTARTED)
    if not running:
        return False
    if job.attempts >= MAX_ATTEMPTS:
        return store.fail(job.id, _TOO_OFTEN)
    return store.requeue(job.id)
