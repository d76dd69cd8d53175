"""Runs of another version of vitviz: older ones are brought up to date, newer ones refused by name."""

import json

import pytest

from vitviz.errors import Problem
from vitviz.runs.folder import find_run
from vitviz.runs.schema import MIGRATIONS, SCHEMA


@pytest.mark.parametrize("schema", [SCHEMA + 1, SCHEMA + 50])
def test_a_run_of_a_newer_schema_is_refused_by_name(new_run, schema):
    run = new_run("from-tomorrow")
    path = run.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema, "unheard_of": 1}))
    with pytest.raises(
        Problem, match=f"run 'from-tomorrow' was made by a newer vitviz .schema {schema}.*update vitviz"
    ):
        find_run("from-tomorrow").description()


def test_a_run_of_an_older_schema_is_brought_up_to_date_step_by_step(new_run, description, monkeypatch):
    run = new_run("old")
    path = run.path / "run.json"
    record = json.loads(path.read_text())
    record["num_pictures"] = record.pop("num_images")
    path.write_text(json.dumps({**record, "schema": 1}))
    written = path.read_bytes()

    def rename(old: dict) -> dict:
        return {
            **{key: value for key, value in old.items() if key != "num_pictures"},
            "num_images": old["num_pictures"],
        }

    monkeypatch.setattr("vitviz.runs.schema.SCHEMA", 3)
    monkeypatch.setitem(MIGRATIONS, 1, rename)
    monkeypatch.setitem(MIGRATIONS, 2, lambda old: {**old, "title": f"{old['num_images']} images"})
    migrated = find_run("old").description()
    assert (migrated.num_images, migrated.title, migrated.schema) == (20, "20 images", 3)
    assert migrated.settings == description.settings
    assert path.read_bytes() == written


def test_every_older_schema_has_a_way_to_the_next():
    assert set(MIGRATIONS) == set(range(1, SCHEMA))
