"""A domain explained to a person: what `cosmos-robot domains show` prints."""

import numpy as np

from cosmos_robot.domains.channels import Channel, PoseBlock
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.normalisers import Identity

UNPUBLISHED = "not published"


def describe(domain: Domain) -> str:
    """Explain a domain in plain text: its facts, its channels with units and bounds, its sources."""
    facts = domain.published
    lines = [f"{domain.name}: {domain.robot}", ""]
    lines += [f"{label:<18}{value}" for label, value in _facts(domain)]
    lines += ["", f"channels ({domain.raw_action_dim})"]
    lines += _channels(domain)
    lines += [f"frame of {block.name}: {_frame(block)}" for block in domain.pose_blocks]
    if facts.view_point is not None:
        lines += ["", f"prompt sentence   {domain.view_sentence()}"]
    if domain.view_description is not None:
        lines += ["", f"view description  {domain.view_description}"]
    lines += ["", *_recorded(domain), f"source            {domain.source}"]
    lines += [f"note              {note}" for note in domain.notes]
    return "\n".join(lines)


def _recorded(domain: Domain) -> list[str]:
    """Which data its actions are read from, and how their cameras stand on the canvas."""
    recorded, lines = domain.recorded, []
    if recorded.layouts:
        lines.append(f"recorded in       {', '.join(layout.name for layout in recorded.layouts)}")
    if recorded.cameras:
        lines.append(f"cameras           {recorded.arrangement}: {', '.join(c.place for c in recorded.cameras)}")
    return lines


def _channels(domain: Domain) -> list[str]:
    """The channels, with the robot units that model space's -1 and +1 stand for where that is known."""
    width = max(len(name) for name in domain.channel_names)
    normaliser = domain.published.normaliser
    ends = [""] * domain.raw_action_dim
    if normaliser is not None and normaliser.width is not None:
        low, high = (normaliser.inverse(np.full(domain.raw_action_dim, end)) for end in (-1.0, 1.0))
        ends = [f"-1..+1 is {a:.5g} to {b:.5g}" for a, b in zip(low, high, strict=True)]
    return [
        f"  {i:>2}  {channel.name:<{width}}  {end:<34}{channel.unit}{_bounds(channel)}".replace(" " * 34, "")
        for i, (channel, end) in enumerate(zip(domain.channels, ends, strict=True))
    ]


def _frame(block: PoseBlock) -> str:
    """The way from the robot's own end-effector frame into the model's."""
    if block.frame is None:
        return UNPUBLISHED
    if not block.frame:
        return "the robot's own, which is OpenCV-like already"
    matrix = block.frame_matrix().round(4) + 0.0  # no "-0."
    return f"robot pose @ [R {matrix[:3, :3].tolist()}, t {matrix[:3, 3].tolist()} m]"


def _facts(domain: Domain) -> list[tuple[str, str]]:
    facts, sampling = domain.published, domain.sampling
    normaliser = facts.normaliser
    method = None if normaliser is None else "none" if isinstance(normaliser, Identity) else normaliser.method
    poses = ", ".join(f"{b.name}: {b.convention}" for b in domain.pose_blocks)
    return [
        ("aliases", ", ".join(domain.aliases) or "none"),
        ("domain id", str(domain.domain_id)),
        ("chunk", _said(facts.action_chunk_size, "actions")),
        ("rate", _said(facts.fps, "frames a second")),
        ("view point", _said(facts.view_point)),
        ("canvas tier", _said(facts.tier)),
        ("poses", poses or "none"),
        ("gripper", _said(facts.gripper)),
        ("translation scale", f"{domain.translation_scale:g}"),
        ("normaliser", _said(method)),
        ("state row", "yes" if domain.state_row else "no"),
        ("sampling", f"{sampling.num_steps} steps, guidance {sampling.guidance:g}, shift {sampling.shift:g}"),
    ]


def _said(fact: object, unit: str = "") -> str:
    if fact is None:
        return UNPUBLISHED
    text = f"{fact:g}" if isinstance(fact, float) else str(fact)
    return f"{text} {unit}".rstrip()


def _bounds(channel: Channel) -> str:
    if channel.low is None and channel.high is None:
        return ""
    low = "-inf" if channel.low is None else f"{channel.low:g}"
    return f", {low} to {'inf' if channel.high is None else f'{channel.high:g}'}"
