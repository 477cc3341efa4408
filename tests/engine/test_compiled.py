"""More forms of a compiled function than torch's own limit lets through."""

import torch

from cosmos_robot.engine.compiled import compiled


def test_every_form_is_compiled():
    forms = []

    def counting(graph, inputs):
        forms.append(graph)
        return graph.forward

    def scaled(x, name):
        return x * len(name)  # each name is a form of its own

    function = compiled(scaled, fullgraph=True, backend=counting)
    for count in range(1, 21):
        assert function(torch.ones(2), "x" * count).tolist() == [count, count]
    assert len(forms) == 20
