"""The door to randomness."""

import os
import re
import socket

import pytest

from sandq import chance


def test_a_token_is_16_hexadecimal_digits_and_never_the_same():
    tokens = [chance.new_token() for _ in range(1_000)]

    assert all(re.fullmatch("[0-9a-f]{16}", token) for token in tokens)
    assert len(set(tokens)) == len(tokens)


def test_a_worker_is_named_by_host_process_and_chance(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node-1.example")
    one, two = chance.new_worker_id(), chance.new_worker_id()

    assert re.fullmatch(rf"node-1\.example:{os.getpid()}:[0-9a-f]{{8}}", one)
    assert one != two


@pytest.mark.parametrize(
    ("host", "shown"), [("a b:c\n", "abc"), ("", "host"), (":", "host"), ("x" * 99, "x" * 64)]
)
def test_a_worker_id_has_three_parts_whatever_the_host_is_called(monkeypatch, host, shown):
    monkeypatch.setattr(socket, "gethostname", lambda: host)

    assert chance.new_worker_id().split(":")[:2] == [shown, str(os.getpid())]


def test_a_spread_number_lies_between_its_ends():
    numbers = [chance.spread(2.0, 3.0) for _ in range(1_000)]

    assert all(2.0 <= number < 3.0 for number in numbers)
    assert min(numbers) < 2.2
    assert max(numbers) > 2.8


@pytest.mark.parametrize(("drawn", "number"), [(0, -1.0), (1 << 29, 1.0), ((1 << 30) - 1, 3.0)])
def test_a_spread_number_is_evenly_spread(monkeypatch, drawn, number):
    monkeypatch.setattr("secrets.randbelow", lambda _: drawn)

    assert chance.spread(-1.0, 3.0) == pytest.approx(number, abs=1e-8)


@pytest.mark.parametrize(("drawn", "number"), [(0, -1.0), (1 << 29, 0.0), ((1 << 30) - 1, 1.0)])
def test_jitter_lies_evenly_on_both_sides(monkeypatch, drawn, number):
    monkeypatch.setattr("secrets.randbelow", lambda _: drawn)

    assert chance.jitter() == pytest.approx(number, abs=1e-8)
