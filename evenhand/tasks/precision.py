"""The precision that a convolutional network trains quickest in, without loading PyTorch: what `precision: auto` stands for.

Decided by what the processor says of itself and by the images' size, never by a stopwatch: a task's version holds the precision,
so one machine must always give one answer. Where nothing was measured the answer is fp32, with which no training is slower than
it was.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from evenhand.tasks import processor

Precision = Literal["fp32", "bf16"]
INSTRUCTIONS = "avx512_bf16"  # products of bfloat16 numbers; others than x86-64 call theirs otherwise, and were not measured
# Pixels from which SqueezeNet is quicker in bf16 at every batch size; below, batches of 8 are slower (docs/tasks.md).
QUICK_FROM_PIXELS = 56


def proposed(size: int) -> Precision:
    """The quickest precision that was measured for images of `size` pixels on this kind of processor."""
    return "bf16" if size >= QUICK_FROM_PIXELS and has_bf16(processor.LIST_PATH) else "fp32"


@lru_cache
def has_bf16(facts: Path) -> bool:
    """Whether the processor that `facts` (Linux's list of processors) tells of multiplies bfloat16 numbers; False without it."""
    return INSTRUCTIONS in processor.flags(facts)
