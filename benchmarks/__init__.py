"""Speed beside the peers, as ratios within one run. Tests assert no times; these programs measure.

    python -m benchmarks                        every row, with the peers installed here
    python -m benchmarks --peers OTHER/python   peers in an interpreter of their own
    python -m benchmarks --quick                the rows of one minute

How a row is timed (`team.py`)::

    graphkeras  prepare  |run|            |run|
    torch       prepare       |run|            |run|       one process a system; those whose
    roofline    prepare            |run|            |run|  turn it is not are stopped

Each system has a process of its own. They take turns, one round each, so that a slow moment of
the machine hits all of them alike; a process is stopped (SIGSTOP) outside its turn, so no idle
thread pool spins beside another's round. The machine's own limits, fma peak and memory
bandwidth, are measured in the same turns, so a share of the roofline is a ratio within the run
as well.

Where things are: `work.py` what a row times, `rows.py` the table of rows and their goals,
`systems/` one file for each library, `models.py` the Keras programs that all of them run,
`fresh.py` what is measured on whole processes, `report.py` and `plot.py` the output.
"""
