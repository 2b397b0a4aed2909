"""stalk-worker's options, manual page and --help tell the same; and its other tables are true."""

import json
import re
from dataclasses import fields
from pathlib import Path

import click
from stalkd_client.jobs import Job
from stalkd_client.worker import JobContext, exits
from stalkd_client.worker.cli import stalk_worker
from stalkd_client.worker.declaring import HandlerOptions
from stalkd_client.worker.inside.handlers import GIVEN
from stalkd_client.worker.messages import Trouble
from stalkd_client.worker.once.lines import AHEAD_BYTES, CHUNK_BYTES
from stalkd_client.worker.once.splitting import LONGEST_LINE
from stalkd_client.worker.reading.pipeline import OF_WORKER
from stalkd_client.worker.reading.plan import SERVER_ONLY
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.pace import BATCH_S, SLOW_S
from stalkd_client.worker.slots.records import SOURCE_BYTES, message, record

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "man" / "stalk-worker.1").read_text()


def options() -> list[click.Option]:
    context = click.Context(stalk_worker, **stalk_worker.context_settings)
    return [each for each in stalk_worker.get_params(context) if isinstance(each, click.Option)]


def names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def section(title: str) -> str:
    return PAGE.split(f".Sh {title}\n")[1].split("\n.Sh ")[0]


def test_every_option_has_an_entry() -> None:
    """No option is missing in the page, and none is there that does not exist."""
    entries = re.findall(r"^\.It (Fl .*)$", section("OPTIONS"), re.MULTILINE)
    documented = {f"-{name}" for entry in entries for name in re.findall(r"\bFl (\S+)", entry)}
    assert documented == {name for option in options() for name in names(option)}


def test_every_option_mentioned_exists() -> None:
    mentioned = {f"-{name}" for name in re.findall(r"\bFl (-?[a-z][a-z-]*)", PAGE)}
    assert mentioned <= {name for option in options() for name in names(option)}


def test_every_option_has_help() -> None:
    for option in options():
        assert option.help
        assert option.help.endswith(".")


def usual(option: click.Option) -> str | None:
    """What --help says is the default, if that is a number."""
    if option.is_flag:
        return None
    if isinstance(option.show_default, str) and option.show_default.isdigit():
        return option.show_default
    return f"{option.default:g}" if isinstance(option.default, int | float) else None


def test_defaults_are_in_the_page() -> None:
    entries = section("OPTIONS").split("\n.It ")
    with_default = [option for option in options() if usual(option)]
    assert len(with_default) == 8
    for option in with_default:
        name = f"-{option.name}".replace("_", "-")
        (entry,) = [each for each in entries if name in each[:60]]
        assert re.search(rf"\b{usual(option)}\b[^.]*by default", entry), option.name


def test_exit_codes_are_in_the_page() -> None:
    codes = {value for name, value in vars(exits).items() if name.startswith("EXIT_")}
    listed = re.findall(r"^\.It (\d+)", section("EXIT STATUS"), re.MULTILINE)
    assert set(map(int, listed)) == codes | {0, click.UsageError.exit_code}


def test_records_are_as_described() -> None:
    job, trouble = Job(7, b"1", 2, 0, 60.0, "mail"), Trouble("E", "m", "t")
    put = record(Held(job, 0.0, 0, "web-1"), "", trouble, 0.1)
    assert put.tube == "error.7"
    assert f"{SOURCE_BYTES:,}" in section("RECORDS")
    for name in json.loads(put.body):
        assert re.search(rf"\.(It )?Li (\S+ , )*{name}\b", section("RECORDS")), name
    for name in json.loads(message(job, 2, trouble, "bad", 0.0).body):
        assert name in section("RECORDS").split("queue of errors")[1]


def test_names_of_parameters_are_in_the_page() -> None:
    for name in GIVEN:
        assert f".It Li {name}" in section("DESCRIPTION")


def test_figures_are_those_of_the_code() -> None:
    assert f"{BATCH_S * 1000:.0f} milliseconds" in PAGE
    assert f"{SLOW_S * 1000:.0f} milliseconds" in PAGE
    without = section("WITHOUT A SERVER")
    assert f"more than {LONGEST_LINE:,} bytes" in without
    assert f"some {(AHEAD_BYTES + CHUNK_BYTES) // 100_000 * 100} kilobytes" in without


def test_options_that_need_a_server_are_in_the_page() -> None:
    refused = section("WITHOUT A SERVER").split(".Pp")[-1]
    assert set(re.findall(r"(?:Fl |, )(-[a-z-]+)", refused)) == {
        each.removeprefix("-") for each in SERVER_ONLY.values()
    }


def test_what_a_handler_can_declare_is_in_the_page() -> None:
    listed = section("DECLARING")
    for name in HandlerOptions.__annotations__:
        assert re.search(rf"\b{name}\b", listed), name


def test_what_hooks_get_is_in_the_page() -> None:
    listed = re.findall(r"^\.It Li (.*)$", section("HOOKS"), re.MULTILINE)
    described = [name for line in listed for name in line.split(" , ")]
    assert sorted(described) == sorted(each.name for each in fields(JobContext))


def test_what_is_for_the_whole_worker_is_in_the_page() -> None:
    listed = section("PIPELINES").split("for the whole worker:")[1].split("\nFiles")[0]
    assert set(re.findall(r"[a-z]+(?:-[a-z]+)*", listed.replace(".Li", ""))) - {"and"} == OF_WORKER
