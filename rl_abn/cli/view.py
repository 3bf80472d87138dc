"""`rl-abn view`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rl_abn.cli.next_command import command
from rl_abn.cli.parser import Subparsers, whole_number


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "view",
        help="look at runs and recorded games in a browser",
        description="Serve a page on this machine: watch recorded games step by step, and ask what "
        "an agent would do if it looked elsewhere.",
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="*",
        default=[],
        metavar="PATH",
        help="runs, episodes, or folders that hold such (default: runs/ of this folder, and the "
        "agents that ship)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen at; one that other machines reach asks for a token",
    )
    parser.add_argument(
        "--port",
        type=whole_number(1, 65535),
        metavar="N",
        help="port (default: the first free one from 8765 on)",
    )
    parser.add_argument(
        "--token",
        type=_token,
        metavar="WORD",
        help="ask for this token (default: none on this machine, else a new one)",
    )
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="only print the address",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FILE.html",
        help="write the episodes into one file that opens without a server, and serve nothing",
    )
    parser.set_defaults(run=run)


def _token(text: str) -> str:
    """Returns a token that an address and a cookie can carry."""
    if not text:
        raise argparse.ArgumentTypeError(
            "expected a token, got an empty one; leave --token out for a new one"
        )
    if not (text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(
            f"expected a token of letters, digits and signs of ASCII, got {text!a}"
        )
    return text


def run(arguments: argparse.Namespace) -> None:
    """Serves, or writes the file."""
    from rl_abn.view.library import folders_or_default

    folders = folders_or_default(arguments.paths)
    if arguments.export is not None:
        from rl_abn.view.export import export

        n_bytes = export(folders, arguments.export)
        print(f"{n_bytes / 1e6:.1f} MB: {command(arguments.export)}")
        return
    from rl_abn.view.server import serve

    serve(
        folders,
        host=arguments.host,
        port=arguments.port,
        token=arguments.token,
        opens_browser=not arguments.no_browser,
    )
