"""The tables. Times are seconds since the epoch, durations seconds; nothing derivable is stored.

A job row carries its trial's outcome, since an outcome is a fact about a training; measurements belong to one attempt of one job,
so a view shows the current attempt's and earlier ones stay.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

OWN_SESSIONS = "driver <> 'archive'"  # of sessions that were not read from an export

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("version", String, nullable=False, unique=True),
    Column("space", JSON, nullable=False),
    Column("metric", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("max_epochs", Integer, nullable=False),
    Column("has_test", Boolean, nullable=False),
    Column("statistics", JSON, nullable=False),
    Column("further", JSON, nullable=False, default=list, server_default="[]"),
    Column("max_seconds", Double),
    Column("max_memory", BigInteger),
    Column("test_data", String, nullable=False, default="", server_default=""),
)

environment = Table(
    "environment",
    metadata,
    Column("key", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("facts", JSON, nullable=False),
)

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("archived", Boolean, nullable=False, default=False, server_default=false()),
)

study_version = Table(
    "study_version",
    metadata,
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("task_id", ForeignKey("task.id"), nullable=False),
    Column("hash", String, nullable=False),
    Column("declared", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("published_at", Double),
    Column("note", Text, nullable=False, default=""),
    Column("environment", ForeignKey("environment.key")),
    PrimaryKeyConstraint("study_id", "version"),
)

batch = Table(
    "batch",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False, index=True),
    Column("label", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("cap", Integer),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
)

participant = Table(
    "participant",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("resume_hash", String, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("mode", String, nullable=False, server_default="live"),
    Column("batch_id", ForeignKey("batch.id")),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("condition", String),
    Column("language", String, nullable=False, server_default="en"),
    Column("nickname", String),
    Column("consent_version", String),
    Column("consented_at", Double),
    Column("read_details_at", Double),
    Column("practised_at", Double),
    Column("withdrawn_at", Double),
    Column("writer", String),
    Column("writer_at", Double),
    UniqueConstraint("study_id", "number"),
)

answered = Table(
    "answered",
    metadata,
    Column("participant_id", ForeignKey("participant.id"), nullable=False),
    Column("questionnaire", String, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("participant_id", "questionnaire"),
)

answer = Table(
    "answer",
    metadata,
    Column("participant_id", ForeignKey("participant.id"), nullable=False),
    Column("question", String, nullable=False),
    Column("value", JSON, nullable=False),
    PrimaryKeyConstraint("participant_id", "question"),
)

exclusion = Table(
    "exclusion",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("participant_id", ForeignKey("participant.id"), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("excluded", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("task_id", ForeignKey("task.id"), nullable=False),
    Column("participant_id", ForeignKey("participant.id")),
    Column("tuner", String, nullable=False),
    Column("method", JSON, nullable=False),
    Column("driver", String, nullable=False),
    Column("budget", JSON, nullable=False),
    Column("tuning_seed", Integer, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("started_at", Double),
    Column("withdrawn_at", Double),
    Column("last_seen", Double),
    Column("mode", String, nullable=False, server_default="live"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("condition", String),
    Column("practice", Boolean, nullable=False, server_default=false()),
    Column("purpose", String, nullable=False, server_default="study"),
    Column("name", String),
    Column("process", String),
    Index(None, "study_id"),
    Index(None, "name", unique=True, sqlite_where=text(OWN_SESSIONS), postgresql_where=text(OWN_SESSIONS)),
    UniqueConstraint("participant_id", "practice"),
)

run_notes = Table(
    "run_notes",
    metadata,
    Column("session_id", ForeignKey("session.id"), primary_key=True, autoincrement=False),
    Column("tags", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("archived_at", Double),
    Column("deleted_at", Double),
    Column("baseline", Integer),
)

pause = Table(
    "pause",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False, index=True),
    Column("start", Double, nullable=False),
    Column("end", Double),
    Column("reason", Text, nullable=False),
)

extension = Table(
    "extension",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False, index=True),
    Column("start", Double),
    Column("seconds", Double, nullable=False),
    Column("reason", Text, nullable=False),
)

trial = Table(
    "trial",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("configuration", JSON, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("proposer", String, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("epochs_planned", Integer, nullable=False),
    Column("key", String),
    Column("resumes", Integer),
    Column("epochs_before", Integer, nullable=False, default=0, server_default="0"),
    Column("revision", Integer, nullable=False, default=0, server_default="0"),
    Column("signals", JSON(none_as_null=True)),
    UniqueConstraint("session_id", "number"),
    UniqueConstraint("session_id", "key"),
)

intervention = Table(
    "intervention",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("who", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("trial", Integer),
    Column("detail", JSON, nullable=False),
    Column("reason", Text, nullable=False),
)

choice = Table(
    "choice",
    metadata,
    Column("session_id", ForeignKey("session.id"), primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("configuration", JSON(none_as_null=True)),
    Column("trial_id", ForeignKey("trial.id")),
    Column("automatic", Boolean, nullable=False),
    Column("key", String),
)

earlier_choice = Table(
    "earlier_choice",
    metadata,
    Column("session_id", ForeignKey("session.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("configuration", JSON(none_as_null=True)),
    Column("trial_id", ForeignKey("trial.id")),
    Column("automatic", Boolean, nullable=False),
    Column("reopened_at", Double, nullable=False),
    PrimaryKeyConstraint("session_id", "number"),
)

agent = Table(
    "agent",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("local", Boolean, nullable=False),
    Column("machine", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_seen", Double),
    Column("environment", ForeignKey("environment.key")),
)

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False, index=True),
    Column("trial_id", ForeignKey("trial.id"), unique=True),
    Column("seed_index", Integer),
    Column("of_earlier", Integer, nullable=False, default=0, server_default="0"),
    Column("seed", Integer, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("agent_id", ForeignKey("agent.id")),
    Column("claimed_at", Double),
    Column("leased_until", Double),
    Column("stop_by", String),
    Column("stop_why", Text),
    Column("finished_at", Double),
    Column("outcome", String),
    Column("why", Text),
    Column("environment", ForeignKey("environment.key")),
    Column("holds", JSON(none_as_null=True)),
    UniqueConstraint("session_id", "seed_index", "of_earlier"),
    Index(None, "finished_at", "queued_at"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("job_id", ForeignKey("job.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("agent_id", ForeignKey("agent.id"), nullable=False),
    Column("claimed_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("why", Text),
    Column("counts", Boolean, nullable=False, default=True),
    Column("environment", ForeignKey("environment.key")),
    PrimaryKeyConstraint("job_id", "attempt"),
)

measurement = Table(
    "measurement",
    metadata,
    Column("job_id", ForeignKey("job.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("index", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("epoch", Integer),
    Column("loss", Double),
    Column("value", Double),
    Column("seconds", Double, nullable=False),
    Column("extra", JSON(none_as_null=True)),
    PrimaryKeyConstraint("job_id", "attempt", "index"),
    Index(None, "job_id", "attempt", "epoch"),
)

remembered = Table(
    "remembered",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False, index=True),
    Column("trial_id", ForeignKey("trial.id")),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("value", JSON, nullable=False),
    UniqueConstraint("trial_id", "kind", "name"),
)

token = Table(
    "token",
    metadata,
    Column("hash", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("spent_at", Double),
    Column("made_by", String),
    Column("last_seen", Double),
    Column("browser", String),
)

person = Table(
    "person",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("removed_at", Double),
)

look = Table(
    "look",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("session.id"), nullable=False, index=True),
    Column("who", String, nullable=False),
    Column("at", Double, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("session_id", Integer, index=True),
    Column("trial_id", Integer),
    Column("detail", JSON, nullable=False),
)
