"""Generation: videos and images made of words and first frames, beside recorded ones that the words are true of.

Whatever the model, CLIP says how well frames and words go together and FVD how near the clips are to the recorded ones.
Of Push-T more is known: a prompt names one of eight directions, and the T's way is read off the generated frames. The
windows are those in which the T was really pushed, each direction as often as the others, so that a model that does not
listen is right in one of four at most.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.fvd_figures import TRUE, clip_features, fvd_pooled
from cosmos_robot.benchmarks.metrics_clip import clip_absent, clip_score
from cosmos_robot.benchmarks.pusht_direction import Movement
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_episodes import open_run_episodes
from cosmos_robot.benchmarks.run_plan import PlannedRow, noise_seed, plan_rows, run_windows
from cosmos_robot.benchmarks.suite import MODEL, Measured, Pooled, Row, Scatter, Series, plain, single
from cosmos_robot.benchmarks.window_suite import Case, WindowSuite
from cosmos_robot.datasets.episode import Episodes
from cosmos_robot.datasets.windows import Windows
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.media_request import MediaOptions
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import DIRECTIONS, HindsightLimits, direction_name, push_caption
from cosmos_robot.training.pusht_scripts import block_centre
from cosmos_robot.types import Frames

type Mode = Literal["text2image", "text2video", "image2video"]

COPY, OTHER, NO_PROMPT = "first frame copied", "judged by another direction", "no prompt"
BLOCK, MOVES, PUSHER, OUTLINE = "T goes as told", "T moves", "pusher goes as told", "outline of the T"
ROWS = 100
"""Windows of Push-T where no number is asked for."""
_LEAST_WAY = 1.5
"""Of what counts as a push a window that is taken has so much: what is read off true frames is beyond doubt then."""


@dataclass(frozen=True)
class GenerationSettings:
    """What is generated.

    Attributes:
        mode: `text2image`, `text2video` or `image2video`.
        clip_weights: folder of a CLIP checkpoint; None is the field's own, from the Hub's cache.

    Raises:
        InvalidInputError: if there is no such mode.
    """

    mode: Mode = "image2video"
    clip_weights: str | None = None

    def __post_init__(self) -> None:
        modes = get_args(Mode.__value__)
        if self.mode not in modes:
            raise InvalidInputError(f"generation is measured in the modes {', '.join(modes)}; got {self.mode!r}.")


@dataclass(frozen=True)
class GenerationSuite(WindowSuite):
    """Each window in one call, or in two where a model that is told nothing stands beside."""

    needs: tuple[str, ...] = ("torchmetrics",)
    ranking: str = OUTLINE
    settings: type[Any] | None = GenerationSettings

    def plan(self, config: RunConfig) -> list[PlannedRow]:
        """Draw windows; of Push-T those in which the T is pushed, as many in each direction."""
        with closing(open_run_episodes(config.episodes)) as episodes:
            available = run_windows(config, episodes)
            if get_domain(config.domain).name != "pusht" or "block" not in episodes[0].columns:
                return plan_rows(config, available)
            return _pushes(config, episodes, available)

    def measure(self, world_model: WorldModel, cases: Sequence[Case], config: RunConfig) -> list[Measured]:
        """Generate, and compare with what was recorded."""
        settings = config.settings(GenerationSettings)
        prompts = [_prompt(case, config) for case in cases]
        clips = _generate(world_model, cases, prompts, config)
        silent: list[Frames] | None = None
        if config.controls and settings.mode == "image2video":
            silent = _generate(world_model, cases, [""] * len(cases), config)
        found = []
        for i, case in enumerate(cases):
            absent: dict[str, str] = {}
            still = settings.mode == "text2image"
            shown = {MODEL: clips[i], TRUE: case.window.frames[-1:] if still else case.window.frames}
            figures = _word_figures(settings, shown, prompts[i], absent)
            if still:
                absent |= {"fvd": "an image is no video.", BLOCK: "nothing moves in an image."}
            else:
                copied = np.repeat(case.window.frames[:1], len(case.window.frames), axis=0)
                figures |= clip_features(config.fvd_weights, shown | {COPY: copied}, absent)
            if case.row.case:
                extra = {} if silent is None else {NO_PROMPT: silent[i]}
                figures |= _pusht_figures(case.row, shown | extra, still=still)
            else:
                absent[BLOCK] = "directions are known of Push-T with its poses alone."
            keep: dict[str, NDArray[Any]] = {"shown": clips[i]}
            found.append(Measured(plain(figures), absent, keep))
        return found

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """Directions, the T's outline, CLIP."""
        found = [s for name in (BLOCK, MOVES, PUSHER, OUTLINE) for s in single(rows, name, "", higher_is_better=True)]
        return found + single(rows, "clip", "", higher_is_better=True)

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """FVD, where there are features."""
        return fvd_pooled(rows)

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """The ways of the T: those asked for are turned to point to the right."""
        points = [row["figures"]["way"] for row in rows if row["figures"].get("way") is not None]
        if not points:
            return []
        axes = ("way in the direction asked for, px of 512", "way aside, px of 512")
        return [Scatter("where the T goes", *axes, np.array(points), diagonal=False)]


def _pushes(config: RunConfig, episodes: Episodes, available: Windows) -> list[PlannedRow]:
    """Windows in which the T is pushed, drawn in turn from each direction that is left."""
    by_direction: dict[str, list[int]] = {name: [] for name in DIRECTIONS}
    for number in np.random.default_rng([config.seed, 0xB3]).permutation(len(available)):
        episode, start = available.place(int(number))
        centres = block_centre(episodes[episode].column("block", start, start + available.chunk + 1))
        way = centres[-1] - centres[0]
        if np.linalg.norm(way) >= _LEAST_WAY * HindsightLimits().push:
            by_direction[direction_name(way)].append(int(number))
    most = min(len(numbers) for numbers in by_direction.values())
    wanted = ROWS if config.rows is None else config.rows
    if wanted > most * len(DIRECTIONS):
        raise InvalidInputError(
            f"{config.episodes} has {most} windows of the rarest direction, so that at most {most * len(DIRECTIONS)} "
            f"rows have all directions as often; {wanted} were asked for. Ask for fewer rows or a smaller stride."
        )
    drawn = [(by_direction[DIRECTIONS[i % 8]][i // 8], DIRECTIONS[i % 8]) for i in range(wanted)]
    rows: list[PlannedRow] = []
    for number, direction in sorted(drawn):
        episode, start = available.place(number)
        for noise in range(config.noises):
            seed = noise_seed(config.seed, number, noise)
            rows.append(PlannedRow(len(rows), number, episode, start, seed, None, direction))
    return rows


def _prompt(case: Case, config: RunConfig) -> str:
    if config.prompt is not None:
        return config.prompt.replace("{direction}", case.row.case)
    return push_caption(case.row.case) if case.row.case else case.window.prompt


def _generate(world_model: WorldModel, cases: Sequence[Case], prompts: list[str], config: RunConfig) -> list[Frames]:
    """Frames uint8 `[N, H, W, 3]` of each row; one frame of an image."""
    mode, window = config.settings(GenerationSettings).mode, cases[0].window
    options: MediaOptions = {
        "seed": [case.row.seed for case in cases],
        "num_steps": config.num_steps,
        "guidance": config.guidance,
        "shift": config.shift,
        "resolution": config.image_size,
    }
    if mode != "text2image":
        options |= {"num_frames": len(window.frames), "fps": config.fps or window.fps}
    if mode == "image2video":
        made = world_model.image2video([case.window.frames[0] for case in cases], prompts, **options)
    elif mode == "text2video":
        made = world_model.text2video(prompts, **options)
    else:
        made = world_model.text2image(prompts, **options)
    return [np.asarray(each.frames, dtype=np.uint8) for each in made]


def _word_figures(
    settings: GenerationSettings, shown: dict[str, Frames], prompt: str, absent: dict[str, str]
) -> dict[str, Any]:
    reason = clip_absent(settings.clip_weights) if prompt else "there is no prompt."
    if reason is not None:
        absent["clip"] = reason
        return {"clip": None}
    return {"clip": {name: clip_score(settings.clip_weights, frames, prompt) for name, frames in shown.items()}}


def _pusht_figures(row: PlannedRow, shown: dict[str, Frames], *, still: bool) -> dict[str, Any]:
    """What is read off Push-T frames; `OTHER` holds the model's own against a direction drawn without looking."""
    moves = {name: Movement.of(frames) for name, frames in shown.items()}
    figures: dict[str, Any] = {OUTLINE: {name: move.outline for name, move in moves.items()}}
    if still:
        return figures
    drawn = DIRECTIONS[int(np.random.default_rng([row.seed, 0xB4]).integers(len(DIRECTIONS)))]
    judged = [(name, move, row.case) for name, move in moves.items()] + [(OTHER, moves[MODEL], drawn)]
    figures[MOVES] = {name: float(move.block_moves) for name, move in moves.items()}
    figures[BLOCK] = {name: float(move.block_goes(direction)) for name, move, direction in judged}
    figures[PUSHER] = {name: float(move.pusher_goes(direction)) for name, move, direction in judged}
    return figures | {"way": moves[MODEL].block_along(row.case)}
