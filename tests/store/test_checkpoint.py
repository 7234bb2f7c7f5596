"""Checkpoints: whole or refused, and never half-written."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semantica_lib.errors import RequestError
from semantica_lib.files import write_whole
from semantica_lib.store.checkpoint import load_checkpoint, save_checkpoint

TENSORS = {"flat": torch.arange(6.0).reshape(2, 3), "step": torch.tensor(7)}
ABOUT = {"settings_hash": "abc", "tied": "true"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "stack.safetensors"
    save_checkpoint(path, TENSORS, ABOUT)
    return path


def test_what_is_saved_comes_back_bit_for_bit(checkpoint):
    tensors, about = load_checkpoint(checkpoint)
    assert about == ABOUT
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@given(data=st.data())
def test_a_cut_or_altered_file_is_refused(checkpoint, data):
    whole = checkpoint.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:place]
    else:
        flip = data.draw(st.integers(1, 255))
        damaged = whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]
    path = checkpoint.with_name("damaged.safetensors")
    path.write_bytes(damaged)
    with pytest.raises(RequestError) as error:
        load_checkpoint(path)
    assert "damaged" in str(error.value) and "\n" not in str(error.value)


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
