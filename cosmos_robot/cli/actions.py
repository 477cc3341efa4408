"""`cosmos-robot actions`: files of actions from one form into another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # brings scipy, which `--help` has no use for
    from cosmos_robot.domains.action_forms import ActionForm
    from cosmos_robot.domains.poses import Float64

actions_app = typer.Typer(no_args_is_help=True, help="Turn files of actions from one form into another.")

_FORM_HELP = (
    "robot or model (the spaces of --domain), or absolute, framewise or anchored with a rotation: euler_xyz, "
    "quaternion_xyzw, quaternion_wxyz, axis_angle, rot6d_columns, rot6d_rows, matrix; as in absolute:euler_xyz."
)


@actions_app.callback()
def _group() -> None:
    """Keeps `convert` a command of its own, although it is the only one."""


@actions_app.command("convert")
def convert(
    *,
    source: Annotated[Path, typer.Argument(metavar="IN", help="json, npy, npz or csv: rows of numbers.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="json, npy or csv.")],
    from_form: Annotated[str, typer.Option("--from", help=_FORM_HELP)],
    to_form: Annotated[str, typer.Option("--to", help="Likewise.")],
    domain: Annotated[str | None, typer.Option(help="Name or alias of a domain, or the path of a domain file.")] = None,
    start: Annotated[
        str | None,
        typer.Option(help="First pose, for absolute poses from differences: identity, or numbers as --to has them."),
    ] = None,
    keep: Annotated[int, typer.Option(min=0, help="Numbers at the end of each row that go with the pose.")] = 0,
    action_dim: Annotated[int | None, typer.Option(min=1, help="Pad model space with zeros to this width.")] = None,
) -> None:
    """Turn actions between poses and steps, ways to write a rotation, and robot and model space.

    A row of poses is x, y, z, the rotation, and the numbers that --keep says. There is one absolute pose more than
    there are actions.
    """
    from cosmos_robot.datasets.action_files import read_actions, require_writable_suffix, write_actions
    from cosmos_robot.domains.action_forms import ActionForm, convert_actions
    from cosmos_robot.domains.registry import get_domain

    require_writable_suffix(target)
    to = ActionForm.parse(to_form)
    converted = convert_actions(
        read_actions(source),
        ActionForm.parse(from_form),
        to,
        domain=None if domain is None else get_domain(domain),
        start=None if start is None else _pose(start, to),
        keep=keep,
        action_dim=action_dim,
    )
    write_actions(target, converted.astype("float32"))
    typer.echo(f"{target}: {converted.shape[0]} rows of {converted.shape[1]} numbers, {to}")


def _pose(text: str, form: "ActionForm") -> "Float64":
    """The start pose `[4, 4]`."""
    import numpy as np

    from cosmos_robot.domains.poses import pose_matrix
    from cosmos_robot.errors import InvalidInputError

    if text == "identity":
        return np.eye(4)
    if form.kind != "absolute" or form.rotation is None:
        raise InvalidInputError(f"a start is for absolute poses; {form} has no use for one.")
    wanted = 3 + form.rotation.width
    try:
        numbers = np.array([float(number) for number in text.replace(",", " ").split()])
    except ValueError as error:
        raise InvalidInputError(f"the start must be identity or {wanted} numbers; got {text!r}.") from error
    if len(numbers) != wanted or not np.isfinite(numbers).all():
        raise InvalidInputError(f"the start must be identity or {wanted} numbers, as {form} has them; got {text!r}.")
    return pose_matrix(numbers[:3], form.rotation.read(numbers[3:]))
