"""A database by an older Evenhand is brought up to date when it is opened, and loses nothing."""

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
from evenhand.lab.base import hash_token
from evenhand.model.rules import ParticipantStep, is_interrupted
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from evenhand.store.engine import Store
from evenhand.store.tables import metadata
from tests.components import DATABASES
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
TUNED = {
    "id": 2, "study_id": 1, "task_id": 1, "participant_id": None, "tuner": "random", "method": {"name": "random"},
    "driver": "python", "budget": BUDGET, "tuning_seed": 3, "opened_at": 13.0, "started_at": 14.0, "last_seen": 15.0,
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
    ("task", TASK), ("study", STUDY), ("participant", PARTICIPANT), ("session", [SESSION, TUNED]), ("trial", TRIAL),
    ("agent", AGENT), ("job", JOB), ("attempt", ATTEMPT), ("measurement", MEASUREMENTS), ("choice", CHOICE), ("token", TOKENS),
]  # fmt: skip


@pytest.fixture(params=DATABASES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with the first tables, in which one participant has finished."""
    with database(request.param, tmp_path) as url:
        engine = sa.create_engine(url)
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(evenhand.store.engine.__file__).parent / "migrations"))
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


@pytest.mark.slow
def test_a_participant_of_the_first_version_is_all_there(old: str) -> None:
    lab, _ = make_lab(old)
    study = lab.studies.get(1)
    assert (study.title, study.budget, study.seed, study.live_validation) == ("Toy", Budget(seconds=100), 7, False)
    assert (study.consent.markdown, study.version, study.published_at) == ("I *agree*.", 1, 10.0)
    person = lab.participants.resume("abcde")
    assert person.answers == {"background.months": 4, "background.education": "master"}
    assert (person.pseudonym, person.answered, person.mode, person.session_id) == ("P-01", ("background",), "live", 1)
    session = lab.sessions.get(1)
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
    assert [measurement.value for measurement in lab.curve(1, 1).measurements] == [0.4, 1 / 3]
    assert lab.participants.step(person.id) is ParticipantStep.THANKS
    lab.close()


@pytest.mark.slow
def test_a_migration_that_fails_leaves_the_database_as_it_was(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = alembic.command.upgrade

    def fails_at_its_end(config: alembic.config.Config, revision: str) -> None:
        upgrade(config, revision)
        raise ValueError("on purpose")

    monkeypatch.setattr(alembic.command, "upgrade", fails_at_its_end)
    with pytest.raises(ValueError, match="on purpose"):
        Store(old)
    engine = sa.create_engine(old)
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_heads() == ("0001",)
        assert "earlier_choice" not in sa.inspect(connection).get_table_names()
    engine.dispose()


@pytest.mark.slow
def test_sessions_of_tune_are_exploratory_and_others_a_studys(old: str) -> None:
    lab, clock = make_lab(old)
    assert [(session.id, session.purpose, session.name) for session in lab.sessions.of_study(1)] == [
        (1, "study", None),
        (2, "exploratory", None),
    ]
    session = lab.sessions.get(2)
    assert is_interrupted(session, clock.now)
    assert lab.sessions.end(2).choice is not None
    lab.close()


@pytest.mark.slow
def test_an_old_invitation_and_an_old_cookie_still_open_the_study(old: str) -> None:
    lab, _ = make_lab(old)
    assert lab.tokens.check("participant", "the cookie") == 1
    batch = lab.participants.batches(1)[0]
    assert (batch.kind, batch.mode, batch.enabled) == ("open", "live", True)
    person, _ = lab.participants.accept("the invitation")
    assert (person.pseudonym, person.study_id, person.batch_id) == ("P-02", 1, batch.id)
    lab.close()
    lab, _ = make_lab(old)
    assert len(lab.participants.of_study(1)) == 2
    lab.close()


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_a_new_database_has_the_very_tables_that_migrating_makes(backend: str, tmp_path: Path) -> None:
    described = []
    for folder, migrated in ((tmp_path / "new", False), (tmp_path / "migrated", True)):
        folder.mkdir()
        with database(backend, folder) as url:
            engine = sa.create_engine(url)
            if migrated:
                config = alembic.config.Config()
                config.set_main_option("script_location", str(evenhand.store.engine.MIGRATIONS_FOLDER))
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
    schema: dict[str, Any] = {"version": connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()}
    looked = sa.inspect(connection)
    for name in looked.get_table_names():
        columns = {
            column["name"]: (str(column["type"]), column["nullable"], column["default"]) for column in looked.get_columns(name)
        }
        keys = {(key["name"], *key["constrained_columns"], key["referred_table"]) for key in looked.get_foreign_keys(name)}
        unique = {(constraint["name"], *constraint["column_names"]) for constraint in looked.get_unique_constraints(name)}
        indexes = {(index["name"], *map(str, index["column_names"]), bool(index["unique"])) for index in looked.get_indexes(name)}
        schema[name] = columns, looked.get_pk_constraint(name)["constrained_columns"], keys, unique, indexes
    return schema
