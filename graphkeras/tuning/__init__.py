"""Kernels chosen by timing, where the setting `autotune` or `Model.compile(autotune=True)` asks.

tuner.py     which contractions of a program have been timed, and which are timed now
forms.py     plain convolutions against Winograd's
contest.py   one contraction: its kernels against each other, on this machine
whole.py     the chosen kernels against the cost model's, in their program
winners.py   what was found, kept in the kernel cache
"""

from graphkeras.tuning.forms import Forms
from graphkeras.tuning.tuner import DEFAULT_SIZE, Tuned, Tuning, tune, tune_forms

__all__ = ["DEFAULT_SIZE", "Forms", "Tuned", "Tuning", "tune", "tune_forms"]
