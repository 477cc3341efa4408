"""World models with a reasoner: one at a real service, a new process for each test that asks for it, and one's own."""

import json
from dataclasses import replace

import pytest
from chat_service import chat_service

from cosmos_robot.engine.json_grammar import JsonGrammar
from cosmos_robot.prompting import caption
from cosmos_robot.remote.chat_reasoner import ChatReasoner
from cosmos_robot.world_model import load_world_model


@pytest.fixture
def service():
    with chat_service() as running:
        yield running


@pytest.fixture(scope="session")
def loaded(checkpoint_folder):
    world_model = load_world_model(checkpoint_folder, device="cpu")
    world_model.facts = replace(world_model.facts, native_canvas=(48, 80))  # small pictures are quick
    return world_model


@pytest.fixture
def world_model(loaded, service, monkeypatch):
    """Give a world model whose reasoner is a model of the service, by the model's name."""

    def with_model(name, *, timeout=5.0):
        monkeypatch.setattr(loaded, "_given_reasoner", ChatReasoner(service.url, name, timeout=timeout))
        return loaded

    return with_model


def bounded(schema):
    """The same schema with short words and lists."""
    if not isinstance(schema, dict):
        return schema
    most = {"string": {"pattern": "^[a-z]{4,12}$"}, "array": {"maxItems": 2}}
    return {key: bounded(value) for key, value in schema.items()} | most.get(str(schema.get("type")), {})


@pytest.fixture
def self_reasoning(reasoner_folder, monkeypatch):
    """A world model whose own reasoner has random weights, which end neither texts nor spaces unless held to it."""

    def compiled(grammar, schema):
        return grammar._compiler.compile_json_schema(json.dumps(bounded(json.loads(schema))), any_whitespace=False)

    monkeypatch.setattr(JsonGrammar, "_compile", compiled)
    subjects = [{"description": "what it is", "number_of_subjects": 1}]
    monkeypatch.setattr(caption, "IMAGE_FIELDS", {"comprehensive_t2i_caption": "the image", "subjects": subjects})
    monkeypatch.setattr(caption, "VIDEO_FIELDS", {"temporal_caption": "what happens", "subjects": subjects})
    world_model = load_world_model(reasoner_folder("nano"), device="cpu")
    world_model.facts = replace(world_model.facts, native_canvas=(48, 80))
    return world_model
