"""A world model with a reasoner at a real service, a new process for each test that asks for one."""

from dataclasses import replace

import pytest
from chat_service import chat_service

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
