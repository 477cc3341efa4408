"""Push-T samples in the field's own JSON, with the published golden figures, for the embedded model.

Held-out windows in which the T is pushed: each is imagined, read backwards and asked of the policy. The bounds are
those of the published samples.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.benchmarks.golden_gates import MSE_KEY, PSNR_KEY
from cosmos_robot.benchmarks.pusht_windows import HeldOutWindow, held_out_episodes, held_out_windows
from cosmos_robot.datasets.video import write_video
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.training.pusht_prompts import HindsightLimits, hindsight_prompt
from cosmos_robot.training.pusht_recording import FPS
from cosmos_robot.training.pusht_scripts import block_centre

PSNR, MSE = 14.0, 0.05
WINDOWS = 4
_EPISODES = 25
_MODES: dict[str, dict[str, float]] = {
    "forward_dynamics": {PSNR_KEY: PSNR},
    "inverse_dynamics": {MSE_KEY: MSE},
    "policy": {MSE_KEY: MSE},
}


def write_golden_samples(folder: Path, episodes_folder: Path, windows: int = WINDOWS) -> Path:
    """Write videos, actions in model space and `samples.jsonl`, and give the path of the latter.

    Args:
        folder: where they go.
        episodes_folder: where held-out recordings are, or are put.
        windows: how many; three samples are made of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pushed = [w for w in held_out_windows(held_out_episodes(episodes_folder, _EPISODES), 16) if _is_push(w)]
    samples = [sample for window in pushed[:windows] for sample in _samples(window, folder)]
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
    return path


def _is_push(window: HeldOutWindow) -> bool:
    centres = block_centre(window.block)
    return bool(np.linalg.norm(centres[-1] - centres[0]) >= HindsightLimits().push)


def _samples(window: HeldOutWindow, folder: Path) -> list[dict[str, Any]]:
    video, actions = folder / f"{window.seed}.mp4", folder / f"{window.seed}.json"
    write_video(video, window.frames, FPS)
    actions.write_text(json.dumps(get_domain("pusht").encode(window.actions).values.tolist()), encoding="utf-8")
    shared = {
        "domain_name": "pusht",
        "vision_path": video.name,
        "action_path": actions.name,
        "action_chunk_size": len(window.actions),
        "prompt": hindsight_prompt(window.agent, window.block),
    }
    return [
        {"name": f"{mode}_{window.seed}", "model_mode": mode, **shared, "extra": gates}
        for mode, gates in _MODES.items()
    ]
