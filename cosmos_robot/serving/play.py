"""Playing Push-T: a chunk of targets goes in, and what the learned table and the real one show comes out."""

import asyncio
import base64
import io
import time
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.page_facts import play_refusal
from cosmos_robot.serving.play_figures import agreement, seen_coverage
from cosmos_robot.serving.play_session import PlayLimits, PlaySession, PlaySessions
from cosmos_robot.serving.play_tables import LONGEST_CHUNK, SEEDS, LearnedTable, RealTable, has_simulator
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.service import Service
from cosmos_robot.types import FloatArray, Frames

Pixels = Annotated[float, Field(ge=0, le=512)]


class PlaySeed(BaseModel):
    """Which table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = 0


class PlaySteps(BaseModel):
    """Where the pusher is to go, ten times a second: `[x, y]` in table pixels, x right, y down."""

    model_config = ConfigDict(extra="forbid", strict=True)

    targets: Annotated[
        list[Annotated[list[Pixels], Field(min_length=2, max_length=2)]],
        Field(min_length=4, max_length=LONGEST_CHUNK),
    ]


BODIES = (PlaySeed, PlaySteps)


def add_play(routes: APIRouter, service: Service, limits: PlayLimits | None = None) -> None:
    """Add the routes of playing."""
    sessions = PlaySessions(limits or PlayLimits())
    depth = service.settings.limits.json_depth
    read_seed, read_steps = body_reader(PlaySeed, depth=depth), body_reader(PlaySteps, depth=depth)
    refusal = play_refusal(service.world_model)
    longest = min(service.capabilities.longest_chunk or LONGEST_CHUNK, LONGEST_CHUNK)
    begin_learned = partial(LearnedTable, service.world_model, longest=longest)

    @routes.post("/play", status_code=201, openapi_extra=json_schema(PlaySeed))
    async def begin(body: Annotated[PlaySeed, Depends(read_seed)]) -> dict[str, Any]:
        """Set up tables for a player; they are freed when nothing is heard for two minutes."""
        if refusal is not None:
            raise RequestError(Kind.UNSUPPORTED, refusal)

        def make() -> PlaySession:
            real = RealTable(body.seed) if has_simulator() else None
            return PlaySession(begin_learned, real, body.seed)

        session = await sessions.open(make)
        return {"id": session.id, **await asyncio.to_thread(_standing, session)}

    @routes.post("/play/{session_id}/steps", openapi_extra=json_schema(PlaySteps))
    async def steps(session_id: str, body: Annotated[PlaySteps, Depends(read_steps)]) -> dict[str, Any]:
        """Play one chunk of targets, a multiple of 4, on both tables."""
        session = sessions.get(session_id)
        targets = np.array(body.targets, np.float32)
        with session.claimed():
            frames, seconds = await _imagine(service, session, targets)
            return {**await asyncio.to_thread(_played, session, targets, frames), "seconds": seconds}

    @routes.post("/play/{session_id}/reset", openapi_extra=json_schema(PlaySeed))
    async def reset(session_id: str, body: Annotated[PlaySeed, Depends(read_seed)]) -> dict[str, Any]:
        """Begin another table."""
        session = sessions.get(session_id)
        with session.claimed():
            await asyncio.to_thread(session.reset, body.seed)
            return await asyncio.to_thread(_standing, session)

    @routes.post("/play/{session_id}/sync")
    async def sync(session_id: str) -> dict[str, Any]:
        """Let the learned table begin anew from what the real one shows."""
        session = sessions.get(session_id)
        with session.claimed():
            session.sync()
            return await asyncio.to_thread(_standing, session)

    @routes.delete("/play/{session_id}", status_code=204, response_class=Response)
    async def end(session_id: str) -> None:
        """Free the tables."""
        sessions.close(session_id)


async def _imagine(service: Service, session: PlaySession, targets: FloatArray) -> tuple[Frames, dict[str, float]]:
    """The learned table's frames, and the seconds that they waited for the model and took in it."""
    arrived = time.perf_counter()

    def work() -> tuple[Frames, float]:
        begun = time.perf_counter()
        return session.learned.step(targets), begun

    frames, begun = await service.beside(work)
    return frames, {"waited": begun - arrived, "generated": time.perf_counter() - begun}


def _played(session: PlaySession, targets: FloatArray, frames: Frames) -> dict[str, Any]:
    """Play on the real table what the learned one has played, and compare."""
    real = None if session.real is None else session.real.step(targets)
    return {
        "count": len(frames),
        "learned": _strip(frames),
        "real": None if real is None else _strip(real.frames),
        "agreement": None if real is None else asdict(agreement(frames, real)),
        "coverage": _coverage(session),
    }


def _standing(session: PlaySession) -> dict[str, Any]:
    """What both tables show now, and where the learned pusher is seen, in table pixels."""
    pusher = agent_position(session.learned.frame)
    return {
        "seed": session.seed,
        "pusher": None if pusher is None else pusher.tolist(),
        "count": 1,
        "learned": _strip(session.learned.frame[None]),
        "real": None if session.real is None else _strip(session.real.frame[None]),
        "agreement": None,
        "coverage": _coverage(session),
    }


def _coverage(session: PlaySession) -> dict[str, float | None]:
    real = None if session.real is None else float(session.real.coverage)
    return {"learned": seen_coverage(session.learned.frame), "real": real}


def _strip(frames: Frames) -> str:
    """Frames `[T, H, W, 3]` below one another as one PNG in base64: one file is packed and unpacked quicker than T."""
    packed = io.BytesIO()
    Image.fromarray(frames.reshape(-1, *frames.shape[2:])).save(packed, format="PNG", compress_level=1)
    return base64.b64encode(packed.getvalue()).decode()
