"""A database by an older Evenhand is brought up to date when it is opened, and loses nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import evenhand.store
from evenhand.core import hash_token
from evenhand.declaration import Budget
from evenhand.protocol import Step
from evenhand.records import Outcome
from evenhand.store import Store
from evenhand.store.tables import metadata
from tests.labs import SPACE, database, make_lab

TASK = {
    "id": 1, "name": "toy", "settings": {}, "version": "version 1", "space": SPACE.to_json(), "metric": "accuracy",
    "direction": "maximize", "max_epochs": 10, "has_test": True, "statistics": {},
}  # fmt: skip
BUDGET = {"seconds": 100, "trials": None, "epochs": None, "parallel": 1}
STUDY = {
    "id": 1, "name": "toy", "title": "Toy", "task_id": 1, "budget": BUDGET, "seed": 7, "evaluation_seeds": 2, "presets": True,
    "live_validation": False, "created_at": 10.0,
    "texts": {"consent": "I *agree*.", "details": "Details.", "thanks": "Thanks."},
}  # fmt: skip
PARTICIPANT = {
    "id": 1, "study_id": 1, "number": 1, "resume_hash": hash_token("ABCDE"), "created_at": 11.0, "consent_version": "x",
    "consented_at": 12.0, "months": 4, "education": "master", "read_details_at": 13.0,
}  # fmt: skip
SESSION = {
    "id": 1, "study_id": 1, "task_id": 1, "participant_id": 1, "tuner": "P-01", "method": {}, "driver": "server",
    "budget": BUDGET, "tuning_seed": 3, "opened_at": 13.0, "started_at": 14.0, "last_seen": 15.0,
}  # fmt: skip
CONFIGURATION = dict(SPACE.configuration({"epochs": 2}))
TRIAL = {
    "id": 1, "session_id": 1, "number": 1, "configuration": CONFIGURATION, "reasons": {"epochs": "guess"}, "explanation": "",
    "proposer": "P-01", "submitted_at": 15.0, "epochs_planned": 2,
}  # fmt: skip
AGENT = {"id": 1, "name": "one", "slots": 1, "local": False, "machine": "m", "created_at": 9.0}
JOB = {
    "id": 1, "session_id": 1, "trial_id": 1, "seed": 3, "queued_at": 15.0, "attempt": 1, "agent_id": 1, "claimed_at": 16.0,
    "finished_at": 18.0, "outcome": "completed",
}  # fmt: skip
ATTEMPT = {"job_id": 1, "attempt": 1, "agent_id": 1, "claimed_at": 16.0, "ended_at": 18.0, "counts": False}
MEASUREMENTS = [
    {"job_id": 1, "attempt": 1, "index": 0, "step": 10, "epoch": 1, "loss": 1.0, "value": 0.4, "seconds": 1.0},
    {"job_id": 1, "attempt": 1, "index": 1, "step": 20, "epoch": 2, "loss": 0.5, "value": 1 / 3, "seconds": 2.0},
]
CHOICE = {"session_id": 1, "at": 19.0, "configuration": CONFIGURATION, "trial_id": 1, "automatic": False}
TOKENS = [
    {"hash": hash_token("the invitation"), "kind": "invite", "subject": 1, "created_at": 10.5},
    {"hash": hash_token("the cookie"), "kind": "participant", "subject": 1, "created_at": 11.0},
]
ROWS: list[tuple[str, Any]] = [
    ("task", TASK), ("study", STUDY), ("participant", PARTICIPANT), ("session", SESSION), ("trial", TRIAL), ("agent", AGENT),
    ("job", JOB), ("attempt", ATTEMPT), ("measurement", MEASUREMENTS), ("choice", CHOICE), ("token", TOKENS),
]  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with the first tables, in which one participant has finished."""
    if request.param == "postgresql" and not os.environ.get("EVENHAND_TEST_DB"):
        pytest.skip("EVENHAND_TEST_DB names no PostgreSQL")
    with database(request.param, tmp_path) as url:
        engine = sa.create_engine(url)
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(evenhand.store.__file__).parent / "migrations"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "0001")
            tables = sa.MetaData()
            tables.reflect(connection)
            for name, rows in ROWS:
                connection.execute(sa.insert(tables.tables[name]), rows)
            if request.param == "postgresql":  # rows with ids of their own do not move the sequences
                for name, _ in ROWS:
                    if "id" in tables.tables[name].c:
                        connection.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), 1)"))
        engine.dispose()
        yield url


def test_a_participant_of_the_first_version_is_all_there(old: str) -> None:
    lab, _ = make_lab(old)
    study = lab.study(1)
    assert (study.title, study.budget, study.seed, study.live_validation) == ("Toy", Budget(seconds=100), 7, False)
    assert (study.consent.markdown, study.version, study.published_at) == ("I *agree*.", 1, 10.0)
    person = lab.resume("abcde")
    assert person.answers == {"background.months": 4, "background.education": "master"}
    assert (person.pseudonym, person.answered, person.mode, person.session_id) == ("P-01", ("background",), "live", 1)
    session = lab.session(1)
    assert (session.mode, session.version, session.practice, session.started_at) == ("live", 1, False, 14.0)
    trial = session.trials[0]
    assert (trial.value, trial.outcome, trial.epochs_done, dict(trial.reasons)) == (
        1 / 3,
        Outcome.COMPLETED,
        2,
        {"epochs": "guess"},
    )
    assert session.choice is not None
    assert session.choice.trial_id == trial.id
    assert [each.value for each in lab.curve(1, 1).measurements] == [0.4, 1 / 3]
    assert lab.step(person.id) is Step.THANKS
    lab.close()


def test_an_old_invitation_and_an_old_cookie_still_open_the_study(old: str) -> None:
    lab, _ = make_lab(old)
    assert lab.check_token("participant", "the cookie") == 1
    batch = lab.batches(1)[0]
    assert (batch.kind, batch.mode, batch.enabled) == ("open", "live", True)
    person, _ = lab.accept("the invitation")
    assert (person.pseudonym, person.study_id, person.batch_id) == ("P-02", 1, batch.id)
    lab.close()
    lab, _ = make_lab(old)
    assert len(lab.participants(1)) == 2
    lab.close()


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_new_database_has_the_very_tables_that_migrating_makes(backend: str, tmp_path: Path) -> None:
    if backend == "postgresql" and not os.environ.get("EVENHAND_TEST_DB"):
        pytest.skip("EVENHAND_TEST_DB names no PostgreSQL")
    described = []
    for folder, migrated in ((tmp_path / "new", False), (tmp_path / "migrated", True)):
        folder.mkdir()
        with database(backend, folder) as url:
            engine = sa.create_engine(url)
            if migrated:
                config = alembic.config.Config()
                config.set_main_option("script_location", str(evenhand.store.MIGRATIONS))
                with engine.begin() as connection:
                    config.attributes["connection"] = connection
                    alembic.command.upgrade(config, "heads")
            Store(url).close()
            with engine.connect() as connection:
                assert compare_metadata(MigrationContext.configure(connection), metadata) == []
                described.append(_described(connection))
            engine.dispose()
    assert described[0] == described[1]


def _described(connection: sa.Connection) -> dict[str, Any]:
    """Every table's columns, keys, indexes and constraints, and the version."""
    found: dict[str, Any] = {"version": connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()}
    looked = sa.inspect(connection)
    for name in looked.get_table_names():
        columns = {each["name"]: (str(each["type"]), each["nullable"], each["default"]) for each in looked.get_columns(name)}
        keys = {(each["name"], *each["constrained_columns"], each["referred_table"]) for each in looked.get_foreign_keys(name)}
        unique = {(each["name"], *each["column_names"]) for each in looked.get_unique_constraints(name)}
        indexes = {(each["name"], *map(str, each["column_names"]), bool(each["unique"])) for each in looked.get_indexes(name)}
        found[name] = columns, looked.get_pk_constraint(name)["constrained_columns"], keys, unique, indexes
    return found
