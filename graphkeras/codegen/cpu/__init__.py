"""The CPU printer: loop nests and microkernels as Numba source."""
