"""`cosmos-robot bench golden`: the published samples, held against the figures that they say they must reach."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.cli.bench_simulator import prepare_simulator
from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption
from cosmos_robot.errors import InvalidInputError

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.golden_gates import Gate
    from cosmos_robot.cli.samples import Sample

SOME_FAILED = 1


def golden(
    *,
    samples: Annotated[
        Path | None,
        typer.Argument(
            help="Samples with golden_psnr_min or golden_mse_max in their extra.", show_default="of held-out Push-T"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the samples' folders and gates.json.")] = Path(
        "outputs/bench/golden"
    ),
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Generate published samples and hold what was written against the golden figures in them.

    Forward dynamics: PSNR against the video that the first frame is of. Inverse dynamics and policy: mean square error
    against the recorded actions of action_path, in model space. What these weights have generated already is not
    generated again.

    Exit status: 0; 1 if a gate is not reached; 2 if the input cannot be used.
    """
    from cosmos_robot.benchmarks.golden_gates import gates_of
    from cosmos_robot.benchmarks.run_identity import checkpoint_digest
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.runner import Job, generate
    from cosmos_robot.cli.sample_files import read_samples
    from cosmos_robot.cli.samples import Sample

    samples = samples or _pusht_samples(out)
    held = [s for s in read_samples(samples) if isinstance(s, Sample) and gates_of(s.extra)]
    if not held:
        raise InvalidInputError(f"no sample of {samples} has golden_psnr_min or golden_mse_max in its extra.")
    answers = out / checkpoint_digest(checkpoint).replace(":", "-")
    results = generate([Job(sample, answers / sample.name) for sample in held], ModelChoice(checkpoint, device, dtype))
    found, failed = [], []
    for sample, result in zip(held, results, strict=True):
        if result.error is not None:
            failed.append((sample.name, str(result.error)))
            continue
        try:
            found += _gates(sample, result.job.folder, checkpoint)
        except InvalidInputError as error:  # a gate that cannot be held against anything is not reached
            failed.append((sample.name, str(error)))
    _write(out / "gates.json", found, failed)
    Console().print(_table(found, failed))
    if failed or not all(gate.passed for gate in found):
        raise typer.Exit(SOME_FAILED)


def _pusht_samples(out: Path) -> Path:
    prepare_simulator()
    from cosmos_robot.benchmarks.golden_pusht import write_golden_samples
    from cosmos_robot.benchmarks.run_episodes import HELD_OUT_FOLDER

    return write_golden_samples(out / "samples", HELD_OUT_FOLDER)


def _write(path: Path, found: "list[Gate]", failed: list[tuple[str, str]]) -> None:
    gates = [asdict(gate) | {"passed": gate.passed} for gate in found]
    errors = [{"name": name, "error": error} for name, error in failed]
    path.write_text(json.dumps({"gates": gates, "failed": errors}, indent=1) + "\n", encoding="utf-8")


def _table(found: "list[Gate]", failed: list[tuple[str, str]]) -> Table:
    table = Table("sample", "gate", "wanted", "measured", "", box=None, pad_edge=False)
    for gate in found:
        told = "reached" if gate.passed else "not reached"
        table.add_row(gate.name, gate.figure, f"{gate.wanted:g}", f"{gate.measured:.4g}", told)
    for name, error in failed:
        table.add_row(name, "", "", error, "failed")
    return table


def _gates(sample: "Sample", folder: Path, checkpoint: str | None) -> "list[Gate]":
    import numpy as np

    from cosmos_robot.benchmarks.golden_gates import MSE_KEY, PSNR_KEY, gates_of, mse_gate, psnr_gate
    from cosmos_robot.cli.outputs import ACTIONS, VISION
    from cosmos_robot.datasets.action_files import read_actions
    from cosmos_robot.datasets.video import read_video
    from cosmos_robot.domains.registry import get_domain
    from cosmos_robot.envs.output_canvas import canvas_rule, fit

    found, wanted = [], gates_of(sample.extra)
    if PSNR_KEY in wanted:
        if sample.model_mode == "inverse_dynamics" or not (folder / VISION).is_file():  # its frames are those it got
            raise InvalidInputError(f"{sample.name}: {PSNR_KEY} needs generated frames; {sample.model_mode} gave none.")
        frames, _ = read_video(folder / VISION)
        truth, _ = read_video(sample.vision_path, max_frames=len(frames))
        if truth.shape[1:] != frames.shape[1:]:
            canvas = canvas_rule(checkpoint, get_domain(sample.domain_name), sample.tier)[0](*truth.shape[1:3])
            truth = np.stack([fit(frame, canvas) for frame in truth])
        found.append(psnr_gate(sample.name, wanted[PSNR_KEY], frames, truth))
    if MSE_KEY in wanted:
        if sample.action_path is None or sample.action_space != "model":
            raise InvalidInputError(f"{sample.name}: {MSE_KEY} needs recorded actions (action_path) in model space.")
        answered, recorded = read_actions(folder / ACTIONS), read_actions(Path(sample.action_path))
        found.append(mse_gate(sample.name, wanted[MSE_KEY], answered, recorded))
    return found
