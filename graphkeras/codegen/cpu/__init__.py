"""The CPU printer: loop nests and microkernels as kernel text."""
