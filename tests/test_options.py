"""The settings of a run: one table, which form, command line, record and README show and are read by."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from docs.options import markdown
from imgproc.backends import TECHNIQUES
from imgproc.backends.sharing.transport import TRANSFERS
from imgproc.cli import compare, measuring, process, scale
from imgproc.cli.parser import Parser
from imgproc.errors import UserError
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.runs import options
from imgproc.runs.options import MODES, RunSettings, parse_counts, scale_counts, scale_threads
from imgproc.runs.parsing import check_options, parse_settings
from imgproc.settings import Settings
from imgproc.web.form import parse_run
from tests.backend_kinds import AVAILABLE

COMMANDS = {"sequential": process, "parallel": process, "compare": compare, "scale": scale}
ROWS = list(options.options().values())
FLAGGED = [row for row in ROWS if row.flag]
by_name = {"ids": lambda row: row.name}


def chosen(**more):
    return RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), **more)


def parser_of(mode):
    parser = Parser(prog="test", description="")
    COMMANDS[mode].add_arguments(parser)
    return parser


def from_command(mode, *words):
    """The settings of a run that a command is told."""
    more = ["--out", "o"] if mode == "parallel" else []
    return measuring.new_record(mode, parser_of(mode).parse_args(["x.jpg", *more, *words]), Settings()).settings


def from_form(mode, **fields):
    return parse_run(MultiDict({"mode": mode, **fields}), Settings())[1]


def outcome(read, name):
    """What a setting becomes, or that it is refused in words that name it."""
    try:
        return read()
    except UserError as problem:
        assert name in problem.message or problem.limit is not None, problem.message
        return "refused"


def mode_of(row):
    return "parallel" if "parallel" in row.modes else row.modes[0]


def texts(row):
    """Allowed values of a row, and others."""
    if row.parameter and row.kind == "choice":
        return [*map(str, row.parameter.choices), "4", "x"]
    if row.kind == "flag":
        return ["on", "off", "maybe"]
    if row.kind in ("name", "names"):
        return [*(c for c in row.choices() if c not in TECHNIQUES or c in AVAILABLE), "nonsense", "x,y"]
    low, high = row.least.get(mode_of(row), row.minimum), row.most(Settings())
    return [f"{n:.15g}" for n in (low, high, low - 1, high + 1)] + ["nan", "x", "1,x", f"{low:g},{high:g}"]


@pytest.mark.parametrize("row", ROWS, **by_name)
def test_the_record_has_the_default_of_the_table(row):
    start = Settings() if row.group == "samples" else row.parse([row.start(Settings())], row.name, Settings())
    for mode in row.modes:
        settings = parse_settings(mode, {}, Settings())
        found = settings.parameters[row.name] if row.parameter else getattr(settings, row.stored)
        if row.group == "samples":
            assert found == getattr(chosen(), row.stored) == 0
        elif mode != "scale" or row.name != "workers":
            assert found == start
        assert row.default or found == (row.parameter.default if row.parameter else getattr(chosen(), row.stored))


@pytest.mark.parametrize("row", FLAGGED, **by_name)
def test_the_command_line_shows_name_range_help_and_default(row):
    for mode in MODES:
        parser = parser_of(mode)
        actions = [a for a in parser._actions if a.dest == row.name]
        has = mode in row.modes or (mode == "sequential" and "parallel" in row.modes)
        assert len(actions) == has
        for action in actions:
            assert set(action.option_strings) == set(row.flags) and row.help in action.help.replace("%%", "%")
            if action.nargs != 0:
                start = row.commands.get("process") if COMMANDS[mode] is process else None
                assert row.range(Settings()) in action.help
                assert f"(default: {start or row.start(Settings()) or row.default_words})" in action.help


@pytest.mark.parametrize("row", [row for row in ROWS if row.name != "techniques"], **by_name)
def test_the_form_shows_name_range_help_and_default(row, client):
    page = client.get("/").text
    if row.name == "operations":
        assert re.findall(r'name="operations" value="(\w+)" id="[\w-]+" checked', page) == list(DEFAULT_OPERATIONS)
        return
    field = re.search(rf'<(?:input|select)[^>]* id="{row.name}"[^>]*>(?:<option.*?</select>)?', page)[0]
    start = row.suggested or row.start(Settings())
    assert f'name="{row.name}"' in field
    if row.kind == "flag":
        assert ("checked" in field) == (start == "on")
        return
    assert f'<label for="{row.name}">{row.label}</label>' in page
    if field.startswith("<select"):
        assert f'value="{start}" selected' in field
        offered = re.findall(r'value="([^"]+)"', field)
        assert all(name in offered for name in row.choices() if name not in TECHNIQUES or name != "sequential")
    else:
        assert f'value="{start}"' in field
        hint = re.search(rf'id="{row.name}-h"[^>]*>([^<]*)<', page)[1]
        assert row.range(Settings()).lower() in hint.lower()
        if row.kind not in ("counts", "numbers"):
            assert f'min="{row.minimum:g}" max="{row.most(Settings()):.15g}"' in field
    if not row.parameter and row.name not in ("technique", "workers") and row.group != "samples":
        assert row.help in page


@pytest.mark.parametrize("row", FLAGGED, **by_name)
def test_form_and_command_line_take_and_refuse_the_same(row):
    mode, taken = mode_of(row), 0
    also = {} if row.group == "technique" else {"technique": "multiprocessing"}
    words = [f"--{name}={value}" for name, value in also.items()]
    switch = row.kind == "flag" or list(row.choices()) == ["off", "on"]
    for text in texts(row):
        if switch and text != "on":
            continue
        flag = [row.flags[0]] if switch else [f"{row.flags[0]}={text}"]
        read = outcome(lambda flag=flag: from_command(mode, *words, *flag), row.flags[0])
        for name in row.names:
            for spelt in {name, name.replace("_", "-")}:
                form = outcome(lambda n=spelt, t=text: from_form(mode, **also, **{n: t}), name)
                if read != "refused" and row.name != "budget" and form != "refused":
                    form.budget = read.budget
                assert form == read, (name, text)
        taken += read != "refused"
    assert taken >= 1
    if not switch:
        underscores = row.flags[0].replace("-", "_").replace("__", "--", 1)
        assert outcome(lambda: from_command(mode, f"{underscores}=nonsense"), row.flags[0]) == "refused"


def test_the_readme_shows_the_table():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    shown = text.partition("<!-- options -->")[2].partition("<!-- /options -->")[0]
    assert shown.strip() == markdown().strip(), "python docs/options.py writes it anew"


def test_other_defaults_of_a_command_are_in_the_table():
    assert from_command("parallel").budget == 3 and from_command("compare").budget == 60
    assert from_form("parallel").budget == 60


@pytest.mark.parametrize(("field", "shown"), [
    ("color=colour", 'value="on" selected'), ("color=1", 'value="on" selected'), ("color=grey", 'value="off" selected'),
    ("format=JPG", 'value="jpeg" selected'), ("transfer=paths,bytes,arrays,shared", 'shared" selected'),
    ("cv2-threads=3,1", 'value="1, 3"'), ("worker_list=4;2", 'value="2, 4"'), ("rounds=nine", 'value="nine"'),
    ("l2gradient=yes", 'id="l2gradient" checked'), ("thresholds=SCALED", 'value="scaled" selected'),
    ("start_method=spawn", 'value="spawn" selected'),
])  # fmt: skip
def test_a_form_is_filled_in_again_with_what_was_meant(field, shown, client):
    assert shown in client.get(f"/?{field}").text and shown not in client.get("/").text.replace('"off" selected', "")


@given(st.lists(st.integers(1, 64), min_size=1, max_size=16), st.sampled_from([",", ", ", " ", ";", " , "]))
def test_counts_come_in_order_and_once(counts, comma):
    assert parse_counts(comma.join(map(str, counts)), "workers", 64) == sorted(set(counts))


@pytest.mark.parametrize("value", ["", ",", "0", "65", "1,two", "1.5", "-2", "²", "1 000", "9" * 30])
def test_other_counts_are_refused_with_their_field_and_limit(value):
    with pytest.raises(UserError) as problem:
        parse_counts(value, "worker_list", 64)
    assert problem.value.field == "worker_list" and "1 to 64" in problem.value.message


def test_there_may_not_be_too_many_counts():
    with pytest.raises(UserError, match="up to 16"):
        parse_counts(",".join(map(str, range(1, 20))), "workers", 64)


@pytest.mark.parametrize(("cores", "counts", "threads"), [
    (1, "1, 2, 3, 4", "1"), (2, "1, 2, 3, 4", "1, 2"), (4, "1, 2, 3, 4, 6, 8", "1, 4"),
    (20, "1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40", "1, 20"),
])  # fmt: skip
def test_the_usual_counts_go_beyond_the_cores(cores, counts, threads, monkeypatch):
    monkeypatch.setattr(options, "usable_cores", lambda: cores)
    assert (scale_counts(64), scale_threads()) == (counts, threads)
    assert len(parse_counts(scale_counts(64), "workers", 64)) <= options.MOST_COUNTS
    assert max(parse_counts(scale_counts(3), "workers", 3)) == 3


def test_several_names_come_once_and_start_methods_are_those_of_processes():
    assert from_form("compare", transfer="arrays, shared,arrays").transfers == ["arrays", "shared"]
    assert from_form("compare").start_method is None
    assert "spawn" in options.start_methods() and "loky" not in options.start_methods()


@pytest.mark.parametrize(("field", "value"), [
    ("transfers", ["arrays"]), ("chunk_size", 4), ("start_method", "spawn"),
])  # fmt: skip
def test_an_option_is_refused_where_nobody_can_follow_it(field, value):
    with pytest.raises(UserError, match="Threads cannot") as problem:
        check_options("parallel", chosen(technique="auto", **{field: value}))
    assert problem.value.field == field.replace("transfers", "transfer")
    assert "multiprocessing" in problem.value.limit and "threading" not in problem.value.limit
    check_options("parallel", chosen(technique="multiprocessing", **{field: value}))
    check_options("compare", chosen(**{field: value}))  # those that can, do
    check_options("compare", chosen(techniques=["threading", "multiprocessing"], **{field: value}))
    with pytest.raises(UserError):
        check_options("compare", chosen(techniques=["threading", "opencv"], **{field: value}))


def test_several_transfers_are_for_comparisons():
    check_options("compare", chosen(transfers=list(TRANSFERS)))
    with pytest.raises(UserError, match="mode compare"):
        check_options("scale", chosen(technique="multiprocessing", transfers=list(TRANSFERS)))


def test_every_process_technique_takes_every_option():
    for name in ("multiprocessing", "futures-processes", "joblib"):
        able = TECHNIQUES[name].load().capabilities
        assert able.carries and able.chunks and able.inner_threads and able.start_methods
