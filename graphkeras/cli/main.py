"""Arguments, exit codes and the way of errors to the terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import graphkeras
from graphkeras.cli.errors import CommandError
from graphkeras.errors import GraphKerasError

STEPS = ("train", "test", "predict")
DETAILS = ("ops", "kernels", "layers")
BATCH = 32
REPEATS = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words after `graphkeras`; None: those of this process.

    Returns:
        The exit code.
    """
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except CommandError as error:
        print(f"graphkeras {options.command}: {error}", file=sys.stderr)
        return error.code
    except GraphKerasError as error:
        print(f"graphkeras {options.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough.
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphkeras",
        description="Look inside the graphs that graphkeras compiles.",
    )
    parser.add_argument("--version", action="version", version=graphkeras.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_show(commands)
    _add_passes(commands)
    _add_profile(commands)
    info = commands.add_parser("info", help="the machine, the kernel cache, the settings")
    info.set_defaults(run=_info)
    reproduce = commands.add_parser("reproduce", help="run the pass of a reproducer file again")
    reproduce.add_argument("file", metavar="FILE", help="a reproducer that a failed pass wrote")
    reproduce.set_defaults(run=_reproduce)
    return parser


_Commands = argparse._SubParsersAction


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL.py",
        help='a script that makes a model; its `if __name__ == "__main__"` part is not run',
    )
    parser.add_argument(
        "--name",
        help="variable or function of the script that holds or returns the model "
        "(default: `model`, else `build_model()`, else the only model there is)",
    )
    parser.add_argument(
        "--step", choices=STEPS, help="default: train if the model is compiled, else predict"
    )
    parser.add_argument(
        "--input",
        action="append",
        metavar="SHAPE",
        help="shape of one sample of an input, such as 28,28,1 or 100:int32; needed for models "
        "that are not built; once for each input",
    )


def _add_show(commands: _Commands[argparse.ArgumentParser]) -> None:
    show = commands.add_parser("show", help="draw the graph of a model's step")
    _add_model_arguments(show)
    show.add_argument(
        "--detail",
        choices=DETAILS,
        help="every op, a box a kernel, or a box a layer (default: the finest that is readable)",
    )
    show.add_argument(
        "--after",
        metavar="PASS",
        default="schedule",
        help="show the graph after this pass; `trace` for the one before all passes "
        "(default: the last pass)",
    )
    show.add_argument(
        "--prepare",
        action="store_true",
        help="show the program that prepares variables for --step predict or test: folded "
        "normalisations, packed kernels",
    )
    show.add_argument("--direction", choices=("TB", "LR", "BT", "RL"), default="TB")
    show.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="a .png, .svg, .pdf, .dot or .html file (default: MODEL_STEP.png here); "
        "`-` prints the graph as text",
    )
    show.set_defaults(run=_show)


def _add_passes(commands: _Commands[argparse.ArgumentParser]) -> None:
    passes = commands.add_parser("passes", help="what every pass does to a model's step")
    _add_model_arguments(passes)
    passes.add_argument(
        "--batch-size",
        type=_positive,
        default=BATCH,
        metavar="N",
        help=f"batch size the memory is planned for (default: {BATCH})",
    )
    passes.set_defaults(run=_passes)


def _add_profile(commands: _Commands[argparse.ArgumentParser]) -> None:
    profile = commands.add_parser("profile", help="where the time of a model's step goes")
    _add_model_arguments(profile)
    profile.add_argument(
        "--batch-size",
        type=_positive,
        default=BATCH,
        metavar="N",
        help=f"batch size to run (default: {BATCH})",
    )
    profile.add_argument(
        "--threads", type=_positive, metavar="N", help="threads that run kernels (default: all)"
    )
    profile.add_argument(
        "--repeats",
        type=_positive,
        default=REPEATS,
        metavar="N",
        help=f"runs to take the median of (default: {REPEATS})",
    )
    profile.add_argument(
        "--trace",
        metavar="FILE.json",
        help="write the median run as a trace for https://ui.perfetto.dev",
    )
    profile.set_defaults(run=_profile)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a whole number of at least 1")
    return number


def _show(options: argparse.Namespace) -> int:
    from graphkeras.cli.show import show

    return show(options)


def _passes(options: argparse.Namespace) -> int:
    from graphkeras.cli.passes import passes

    return passes(options)


def _profile(options: argparse.Namespace) -> int:
    from graphkeras.cli.profile import profile

    return profile(options)


def _info(options: argparse.Namespace) -> int:
    from graphkeras.cli.info import info

    return info()


def _reproduce(options: argparse.Namespace) -> int:
    from graphkeras.cli.reproduce import reproduce

    return reproduce(options.file)
