"""The whole-epoch lane: an epoch of a multilayer perceptron is one call of compiled code, without Python's lock.

The code is `whole.cpp`, compiled when the package is installed. Its bits hang on no library and on no feature of a processor, so
that a training repeats bit for bit wherever it runs.
"""

import ctypes
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenhand.tasks import processor
from evenhand.tasks.engines import base
from evenhand.tasks.engines.base import EpochPart, LabelledPoints, Layout, Numbers, Order, TrainingPlan, Words

LANES = 8  # numbers in a vector: rows are padded to a multiple of it
MOST_LAYERS, MOST_CLASSES = 32, 128  # as in whole.cpp
SOURCE, LIBRARY = (Path(__file__).with_name(name) for name in ("whole.cpp", "_whole.so"))
LOSSES = {"cross_entropy": 0, "nll": 0, "mse": 1, "binary_cross_entropy": 2}  # of softmax outputs the first two are the same
PRECISIONS = {"fp32": (np.float32, "float"), "fp64": (np.float64, "double")}


class _Arguments(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.c_int32),
        ("output", ctypes.c_int32),
        ("loss", ctypes.c_int32),
        ("optimizer", ctypes.c_int32),
        ("sizes", ctypes.c_int32 * (MOST_LAYERS + 1)),
        ("activations", ctypes.c_int32 * MOST_LAYERS),
        ("begin", ctypes.c_int64),
        ("end", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("points", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("second", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("scalars", ctypes.c_void_p),
        ("rate", ctypes.c_double),
        ("keys", ctypes.c_uint64 * 2 * MOST_LAYERS),
        ("threshold", ctypes.c_uint32),
    )


def why_not() -> str | None:
    """Why the lane is not on this machine, and what to do; None where it is."""
    if not LIBRARY.is_file():
        return f"{LIBRARY.name} was not compiled when Evenhand was installed; install it anew, or use the lane 'general'"
    if not _is_of_source(LIBRARY.stat().st_mtime_ns):
        return f"{LIBRARY.name} was compiled from another {SOURCE.name}; install Evenhand anew"
    return None if _is_supported() else "its processor lacks AVX2 or FMA; use the lane 'general'"


def begin(layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> "WholeEpochTraining":
    """A network with its initial weights, which hang on `seed` alone."""
    return WholeEpochTraining(layout, plan, seed, data, precision)


@lru_cache(maxsize=1)
def _is_of_source(changed: int) -> bool:
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest().encode() in LIBRARY.read_bytes()


@lru_cache(maxsize=1)
def build(changed: int) -> str:
    """The first digits of the compiled code's SHA-256. changed: when the file was written."""
    return hashlib.sha256(LIBRARY.read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=1)
def _is_supported() -> bool:
    """Whether the processor has what the code was compiled for; where the system does not tell, it has."""
    flags = processor.facts().get("flags")  # ARM's are called otherwise, and lack nothing
    return flags is None or {"avx2", "fma"} <= set(flags.split())


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(LIBRARY))
    library.evenhand_scratch.restype = ctypes.c_int64
    library.evenhand_advance_float.restype = library.evenhand_advance_double.restype = ctypes.c_double
    return library


def aligned(count: int, dtype: Any) -> NDArray[Any]:
    """Zeros (count,) that begin at a multiple of 64 bytes, as vectors are loaded."""
    size = np.dtype(dtype).itemsize
    room = np.zeros(count * size + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    zeros: NDArray[Any] = room[start : start + count * size].view(dtype)
    return zeros


def sorted_order(keys: Words) -> Order:
    """The order that sorts `keys`, equal ones by place: NumPy's stable argsort, in a tenth of its time."""
    order, spare = np.empty(len(keys), np.int32), np.empty(2 * len(keys), np.uint64)
    _library().evenhand_order(_at(keys), _at(order), _at(spare), ctypes.c_int64(len(keys)))
    return order


def _at(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def _padded(units: int) -> int:
    return -units % LANES + units


class WholeEpochTraining:
    """See `base.Training`. What the compiled code works on is kept here, so that it lives as long as its addresses."""

    def __init__(self, layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> None:
        self.layout, self.plan, self.seed = layout, plan, seed
        dtype, suffix = PRECISIONS[precision]
        self._dtype = dtype
        self._points = np.ascontiguousarray(data.points, dtype=dtype)
        self._labels = np.ascontiguousarray(data.labels, dtype=np.int32)
        self._advance = getattr(_library(), f"evenhand_advance_{suffix}")
        self._outputs = getattr(_library(), f"evenhand_outputs_{suffix}")
        length = sum((low + 1) * _padded(high) for low, high in pairwise(layout.sizes))
        self._weights, self._first, self._second = (aligned(length, dtype) for _ in range(3))
        for (weights, biases), (kernel, bias) in zip(base.initial(layout, seed), self._layers(), strict=True):
            kernel[...], bias[...] = weights, biases
        self._scalars = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
        self._arguments = self._filled()
        self._scratch = aligned(_library().evenhand_scratch(ctypes.byref(self._arguments)), dtype)
        self._arguments.scratch = self._scratch.ctypes.data

    def _filled(self) -> _Arguments:
        layout, plan = self.layout, self.plan
        if len(layout.units) >= MOST_LAYERS or layout.classes > MOST_CLASSES:
            raise ValueError(f"expected less than {MOST_LAYERS} layers and at most {MOST_CLASSES} classes, got {layout}")
        arguments = _Arguments(
            layers=len(layout.units) + 1,
            output=base.OUTPUTS.index(layout.output),
            loss=LOSSES[plan.loss],
            optimizer=base.OPTIMIZERS.index(plan.optimizer),
            batch=plan.batch_size,
            points=self._points.ctypes.data,
            labels=self._labels.ctypes.data,
            weights=self._weights.ctypes.data,
            first=self._first.ctypes.data,
            second=self._second.ctypes.data,
            scalars=self._scalars.ctypes.data,
            rate=plan.learning_rate,
            threshold=layout.threshold,
        )
        for at, size in enumerate(layout.sizes):
            arguments.sizes[at] = size
        for at, name in enumerate(layout.activations):
            arguments.activations[at] = base.ACTIVATIONS.index(name)
        return arguments

    def _layers(self) -> list[tuple[Numbers, Numbers]]:
        """Views of each layer's weights (inputs, outputs) and biases (outputs,), without the padding."""
        layers, start = [], 0
        for low, high in pairwise(self.layout.sizes):
            whole = self._weights[start : start + (low + 1) * _padded(high)].reshape(low + 1, -1)
            layers.append((whole[:low, :high], whole[low, :high]))
            start += whole.size
        return layers

    def epoch(self, number: int) -> Iterator[EpochPart]:
        arguments, count, size = self._arguments, len(self._labels), self.plan.batch_size
        order = sorted_order(base.order_keys(self.seed, number, count))
        arguments.order = order.ctypes.data
        for layer in range(len(self.layout.units)):
            arguments.keys[layer][:] = base.dropout_key(self.seed, number, layer)
        for part in base.parts(count, size):
            arguments.begin, arguments.end = part.begin, part.end
            yield part.lost(self._advance(ctypes.byref(arguments)))

    def outputs(self, points: Numbers) -> Numbers:
        points = np.ascontiguousarray(points, dtype=self._dtype)
        scores: Numbers = np.empty((len(points), self.layout.classes), self._dtype)
        arguments = _Arguments.from_buffer_copy(self._arguments)
        arguments.points, arguments.end = points.ctypes.data, len(points)
        self._outputs(ctypes.byref(arguments), _at(scores))
        return scores

    def state(self) -> dict[str, Any]:
        return {
            "weights": self._weights.copy(),
            "first": self._first.copy(),
            "second": self._second.copy(),
            "scalars": self._scalars.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._weights[:], self._first[:] = state["weights"], state["first"]
        self._second[:], self._scalars[:] = state["second"], state["scalars"]
