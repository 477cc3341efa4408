"""What the page can offer: the modes of the served world model, its robots, and whether Push-T can be played."""

from typing import Any

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain, list_domains
from cosmos_robot.interface.media_modes import MediaModes
from cosmos_robot.interface.media_request import MEDIA_MODES
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.serving.play_tables import DOMAIN, NO_SIMULATOR, SEEDS, has_simulator
from cosmos_robot.serving.service import Service
from cosmos_robot.training.pusht_prompts import push_caption, push_prompt
from cosmos_robot.types import ACTION_MODES

_CHUNKS = (4, 8, 16)


def page_facts(service: Service) -> dict[str, Any]:
    """Say what can be asked of this server, as the page reads it."""
    model, capable = service.world_model, service.capabilities
    refusal, canvas = play_refusal(model), capable.native_canvas
    domains = known_domains(model)
    return {
        "checkpoint": service.settings.fine_tuned or service.settings.shown_checkpoint,
        "modes": list(served_modes(model)),
        "domains": [_shown(domain) for domain in domains],
        "native_canvas": None if canvas is None else {"width": canvas[1], "height": canvas[0]},
        "longest_chunk": capable.longest_chunk,
        "examples": _examples() if [domain.name for domain in domains] == [DOMAIN] else {},
        "play": {
            "refusal": refusal,
            "without_simulator": None if has_simulator() else NO_SIMULATOR,
            "chunks": [chunk for chunk in _CHUNKS if capable.longest_chunk is None or chunk <= capable.longest_chunk],
            "seeds": SEEDS,
        },
    }


def served_modes(model: WorldModel) -> tuple[str, ...]:
    """The modes that a world model has, of those that jobs can ask for."""
    told: tuple[str, ...] | None = getattr(model, "modes", None)  # of a service
    if told is not None:
        return tuple(mode for mode in (*MEDIA_MODES, *ACTION_MODES) if mode in told)
    engine: Any = getattr(model, "engine", None)
    media = MEDIA_MODES if type(model).generate_media is not MediaModes.generate_media else ()
    actions: tuple[str, ...] = () if engine is not None and engine.action_dim is None else ACTION_MODES
    return (*media, *actions)


def known_domains(model: WorldModel) -> tuple[Domain, ...]:
    """The robots that a world model was trained for; all where it does not say."""
    if not set(served_modes(model)) & set(ACTION_MODES):
        return ()
    trained: Any = getattr(getattr(model, "facts", None), "domain_ids", None)
    return tuple(domain for domain in list_domains() if trained is None or domain.domain_id in trained)


def play_refusal(model: WorldModel) -> str | None:
    """Why Push-T cannot be played with a world model, or None."""
    if "forward_dynamics" not in served_modes(model):
        return "this checkpoint has no forward dynamics, so there is no table to play on."
    if get_domain(DOMAIN) not in known_domains(model):
        return "this checkpoint was not trained on Push-T, so there is no table to play on."
    return None


def _shown(domain: Domain) -> dict[str, Any]:
    """A robot; what nobody has published of it is None, and the caller's to say."""
    return {
        "name": domain.name,
        "robot": domain.robot,
        "channels": list(domain.channel_names),
        "chunk": domain.published.action_chunk_size,
        "fps": domain.published.fps,
        "state": domain.state_row,
    }


def _examples() -> dict[str, str]:
    """Prompts in the words that a model of Push-T alone was trained on."""
    return {**dict.fromkeys(MEDIA_MODES, push_caption("left")), "policy": push_prompt("left")}
