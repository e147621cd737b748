"""Trainings beside one another in threads: each computes on one, and afterwards all is as before."""

import os
import subprocess
import sys

import pytest

# Three threads come together, and leave one after the other. OpenMP has a number of each thread, BLAS one of the process.
PROGRAM = """
import os
import threading

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as openmp
from threadpoolctl import threadpool_info

from evenhand.tasks.threads import one_thread


def say(when):
    blas = max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
    os.write(1, f"{when}: {openmp()} {blas}\\n".encode())


def computes(number):
    with one_thread():
        met.wait(60)
        say("within")
        for _ in range(number + 1):
            met.wait(60)
    say(f"left {number}")
    for _ in range(number, 2):
        met.wait(60)


say("before")
met = threading.Barrier(3)
threads = [threading.Thread(target=computes, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with one_thread():
    say("within")
say("after")
"""


@pytest.mark.slow
def test_each_of_several_threads_computes_on_one_and_is_as_before_when_it_leaves() -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = ["before: 2 2", *["within: 1 1"] * 3, "left 0: 2 1", "left 1: 2 1", "left 2: 2 2", "within: 1 1", "after: 2 2"]
    assert done.stdout.splitlines() == expected
