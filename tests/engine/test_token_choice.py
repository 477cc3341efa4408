"""Which token comes next: penalties, and a draw by a generator of its own."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from cosmos_robot.engine.token_choice import PresencePenalty, SeededDraw, token_choice
from cosmos_robot.interface.reason import ReasonSampling


def test_presence_is_taken_once_from_what_the_answer_has_said():
    said = torch.tensor([[4, 4, 0, 1, 1, 1]])  # the chat is the first three
    scores = PresencePenalty(1.5, prompt_tokens=3)(said, torch.zeros(1, 6))
    assert scores.tolist() == [[0, -1.5, 0, 0, 0, 0]]


def test_draws_have_the_softmax_as_their_distribution():
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0, -torch.inf]])
    draw = SeededDraw(0)
    counts = np.bincount([int(draw(torch.zeros(1, 0), scores).argmax()) for _ in range(4000)], minlength=5)
    expected = torch.softmax(scores[0], dim=0).double().numpy() * 4000
    assert counts[4] == 0
    assert chisquare(counts[:4], expected[:4] * 4000 / expected[:4].sum()).pvalue > 1e-3


def test_top_p_and_top_k_leave_the_likeliest():
    scores = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    for settings, left in (({"top_k": 1}, {0}), ({"top_p": 0.7}, {0, 1}), ({"top_k": 3, "top_p": 0.6}, {0, 1})):
        seen = set()
        for seed in range(60):
            chain = token_choice(ReasonSampling(do_sample=True, seed=seed, **settings), prompt_tokens=0)
            seen.add(int(chain(torch.zeros(1, 0, dtype=torch.long), scores.clone()).argmax()))
        assert seen == left


def test_greedy_settings_add_nothing():
    assert len(token_choice(ReasonSampling(), prompt_tokens=3)) == 0


@pytest.mark.parametrize("thinking", [True, False])
def test_advised_settings(thinking):
    advised = ReasonSampling.advised(thinking=thinking)
    assert (advised.temperature, advised.top_p, advised.presence_penalty) == (
        (0.6, 0.95, 0.0) if thinking else (0.7, 0.8, 1.5)
    )
