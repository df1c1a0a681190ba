"""What notebooks show of results, and short reprs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import schurscope as ss

ATTACK = '<script>alert("1")</script><img src=x onerror=alert(1)>'
TASK = ss.tasks.FlipFlop(n_steps=6)


class Page(HTMLParser):
    """Tags, attributes and text of a page; tags must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data)


@pytest.fixture(params=[8, 64, 300])
def results(request):
    """Every result that notebooks show, at several sizes."""
    network = ss.init_network(TASK, request.param, "orthogonal", 0)
    training = ss.train(network, TASK, epochs=1, batches_per_epoch=3, rng=1)
    profile = ss.ablate(training.network, TASK.trials(60, 2))
    weights = {name: getattr(network, name) for name in ("W_hh", "W_xh", "W_hy")}
    imported = ss.import_network(weights, activation="tanh")
    return [network, training, profile.schur, profile.sectors, profile, imported]


def test_tables_are_plain_and_small(results):
    for result in results:
        page = Page(result._repr_html_())
        assert set(page.tags) <= {"div", "strong", "table", "tr", "th", "td"}
        for name, value in page.attributes:
            assert name == "style"
            assert not re.search("color|background|font|url", value)
        assert page.tags.count("tr") <= 20
        assert len(result._repr_html_()) < 8000


def test_reprs_are_short_at_any_size(results):
    network, training, schur, sectors, profile, _ = results
    others = [sectors.conditioning, profile.interval(), profile.denominator, network.cell]
    others += [TASK.trials(500, 0), ss.tie_spread(training.network, TASK.trials(4, 0), n_orders=2)]
    for result in (*results, *others):
        text = repr(result)
        assert len(text) < 600, text
        assert "\n" not in text
        assert "array(" not in text
    assert f"loss=<float64 {len(training.loss)}>" in repr(training)
    assert repr(schur).startswith(f"OrderedSchur(N_h={network.n_hidden}, ")


def test_a_profile_shows_its_rows_and_remarks(network, trials):
    profile = ss.ablate(network, trials)
    texts = Page(profile._repr_html_()).texts
    for name, value in zip(profile.names, profile.value, strict=True):
        assert texts[texts.index(name) + 1] == f"{value:.4g}"
    assert profile.caution
    assert f"caution: {profile.caution}" in texts
    chain = ss.Network(np.eye(12, k=1), network.W_xh, network.W_hy)
    undetermined = ss.ablate(chain, trials)
    assert f"warning: {undetermined.warning}" in Page(undetermined._repr_html_()).texts
    assert undetermined.warning in Page(undetermined.sectors._repr_html_()).texts


def test_names_of_strangers_are_text(network, trials):
    ablation = ss.Ablation(ATTACK, ((0, 3, 0, 12),), (0.0,))
    profile = ss.ablate_with(network.W_hh, lambda W: W.sum(axis=1), ablations=[ablation])
    weights = {"W_hh": np.eye(3), "W_xh": np.ones((3, 2)), "W_hy": np.ones((1, 3)), ATTACK: [1.0]}
    imported = ss.import_network(weights, activation="tanh")
    scored = ss.ablate(network, trials, measure=ss.measures.Score(ATTACK, lambda y, _: y[:, 0, 0]))
    for result in (profile, imported, scored):
        page = Page(result._repr_html_())
        assert not {"script", "img"} & set(page.tags)
        assert any(ATTACK in text for text in page.texts)
