"""The laboratory as a storage of Optuna's keeps the contract that Optuna ships for its own storages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase

from evenhand.errors import InvalidSettings
from evenhand.experiments.optuna_storage import LabStorage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LabStorage]:
    made = LabStorage(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


class TestLabStorage(StorageTestCase):
    """Every test of the contract; but a session has a name."""

    def test_create_new_study_with_empty_name(self, storage: BaseStorage) -> None:
        with pytest.raises(InvalidSettings, match="name is '', expected a text"):
            storage.create_new_study(directions=[StudyDirection.MINIMIZE], study_name="")
