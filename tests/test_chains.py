"""Operations one after another: the pixels of each on the result of the one before, everywhere operations are named."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import test_splitting_sent as sending
from conftest import jpeg, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import (
    IN_STRIPS,
    PICTURES,
    carried_out,
    carried_out_by_workers,
    job,
    parameters,
    wrong_files,
    wrong_pixels,
)
from test_web import HTML, error, form, post, record_of

from imgproc.backends.phases import flat, together
from imgproc.backends.strips.plan import _slots, split_image
from imgproc.cli import main
from imgproc.errors import UserError
from imgproc.intake.naming import MAX_NAME_BYTES, OutputNames
from imgproc.operations import OPERATIONS, not_in_strips, not_on_gpu, parse_operations, parse_parameters, remarks
from imgproc.operations.chain import MOST_CHAINS, MOST_PARTS, chain
from imgproc.pixels.proof import CheckJob, check_outputs, pixels_sha256
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.report.timeline import timeline
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.learning import learn
from imgproc.runs.advisor.prediction import Batch, predicted_costs
from imgproc.runs.execute import execute
from imgproc.runs.record import ImageRecord, Record, RunSettings

DEFAULTS = parse_parameters({})
#: What follows edges works on gray, also of a colour image; thresholds may be those of the picture between.
SOME = ("gaussian+canny", "canny+gaussian", "gaussian+gaussian", "equalize+gaussian+equalize", "canny+equalize+canny")
NAMES, STRIPPED = (
    st.lists(st.sampled_from(some), min_size=2, max_size=MOST_PARTS) for some in (list(OPERATIONS), IN_STRIPS)
)
KNOWN = ", ".join(OPERATIONS)


def composed(names, image, values):
    for name in names:
        image = OPERATIONS[name].apply(image, values)
    return image


def any_picture(seed, paint, height, width, color):
    rng = np.random.default_rng(seed)
    pixels = paint(rng, height, width)
    return (np.dstack([pixels, pixels[::-1], pixels[:, ::-1]]) if color else pixels), {**DEFAULTS, **parameters(rng)}


PICTURE = st.builds(
    any_picture,
    st.integers(0, 2**32),
    st.sampled_from(PICTURES),
    st.integers(1, 60),
    st.integers(1, 60),
    st.booleans(),
)

# ---------------------------------------------------------------- pixels


@settings(max_examples=150, deadline=None)
@given(PICTURE, NAMES)
def test_a_chain_is_each_on_the_result_of_the_one_before(drawn, names):
    image, values = drawn
    made, expected, before = OPERATIONS["+".join(names)], composed(names, image, values), image.copy()
    found = made.apply(image, values)
    assert np.array_equal(found, expected) and found.dtype == np.uint8
    assert np.array_equal(image, before)
    assert made.result_shape(image.shape, values) == expected.shape
    assert made.gray == any(OPERATIONS[name].bilevel for name in names)
    assert made.bilevel == OPERATIONS[names[-1]].bilevel


@settings(max_examples=100, deadline=None)
@given(
    PICTURE, st.lists(STRIPPED, min_size=1, max_size=3), st.integers(2, 12), st.sampled_from(["png", "webp", "sent"])
)
def test_in_strips_they_are_the_same_pixels(drawn, chains, strips, how):
    """Threads' own buffers, and those of workers that are sent their rows."""
    image, values = drawn
    names = dict.fromkeys("+".join(names) for names in chains)
    with tempfile.TemporaryDirectory() as folder:
        format = "png" if how == "sent" else how
        work = job(Path(folder), image, values, format=format, color=image.ndim == 3, operations=list(names))
        size = image.shape[:2]
        if how == "sent":
            result, _ = sending.carry_out_one(work, size, strips)
        else:
            [result] = carried_out(flat(together([split_image(0, work, size, strips, across_processes=False)])))
        assert result.error is None
        assert not (wrong_pixels if format == "png" else wrong_files)(work, image)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("color", [False, True])
def test_nothing_is_read_that_was_not_sent(name, color, tmp_path, monkeypatch):
    """With garbage in all memory that a worker was not sent."""
    rng = np.random.default_rng(0)

    def make(self, slot):
        self._slots[slot] = rng.integers(0, 256, self.slot_bytes, np.uint8)

    monkeypatch.setattr(sending.LocalBuffers, "make", make)
    image = picture(90, 110)
    image = image if color else np.ascontiguousarray(image[:, :, 1])
    work = job(tmp_path, image, parse_parameters({"thresholds": "auto"}), color=color, operations=(name, *IN_STRIPS))
    sending.carry_out_one(work, image.shape[:2], 7)
    assert wrong_pixels(work, image) == {}


@pytest.mark.parametrize("lean", [False, True])
def test_a_part_never_writes_where_it_reads_nor_over_another_output(lean, tmp_path):
    work = job(tmp_path, np.zeros((4, 4), np.uint8), operations=["canny", *SOME, "gaussian"])
    found = _slots(work, lean)
    for one, (name, _) in zip(found, work.outputs, strict=True):
        used = [0, *one.results[:-1]] if one.results[-1] == 0 else [0, *one.results]
        assert len(one.results) == len(name.split("+"))
        assert all(a != b for a, b in pairwise(used)) and one.box not in used
    every = [{*one.results, one.box} - {0} for one in found]
    apart = all(not a & b for k, a in enumerate(every) for b in every[k + 1 :])
    assert apart != lean  # above so many pixels one is done after the other, in the same memory


@pytest.mark.parametrize("technique", ["threading", "multiprocessing", "joblib"])
def test_workers_share_its_strips(technique, tmp_path):
    image = picture(300, 400)
    cv2.imwrite(str(tmp_path / "in.png"), image)
    work, done = carried_out_by_workers(
        technique, tmp_path / "in.png", (400, 300), tmp_path, True, 4, SOME, parse_parameters({"thresholds": "auto"})
    )
    [result] = done.results
    assert result.error is None and wrong_pixels(work, image) == {}
    stages = {span.stage for outcome in done.parts for span in outcome.result.spans}
    assert set(SOME) <= stages and not stages & set(OPERATIONS)


def test_thresholds_are_those_of_the_picture_that_comes_to_them():
    """A ramp of few grays, which equalizing spreads: the median moves, and with it what is an edge."""
    image = np.repeat(np.repeat(np.arange(10, 42, 2, dtype=np.uint8), 4)[None], 40, 0)
    image[10:30, 20:44] += 20
    values = parse_parameters({"thresholds": "auto"})
    spread = OPERATIONS["equalize"].apply(image, values)
    before, after = (OPERATIONS["canny"].adapted(one, values) for one in (image, spread))
    assert before != after
    found = OPERATIONS["equalize+canny"].apply(image, values)
    assert np.array_equal(found, OPERATIONS["canny"].apply(spread, after))
    assert not np.array_equal(found, OPERATIONS["canny"].apply(spread, before))


# ---------------------------------------------------------------- names and what is said


def test_the_table_is_a_mapping_of_those_that_were_put_into_it():
    every = list(OPERATIONS)
    assert "gaussian+canny" in OPERATIONS and OPERATIONS.get("gaussian+canny").name == "gaussian+canny"
    assert list(OPERATIONS) == every and len(OPERATIONS) == len(every)
    for none in ("gaussian+x", "gaussian+", "+", "", "x", "+".join(["canny"] * (MOST_PARTS + 1)), 3, None):
        assert none not in OPERATIONS and OPERATIONS.get(none) is None
    with pytest.raises(KeyError):
        OPERATIONS["gaussian+x"]
    OPERATIONS["own"] = replace(OPERATIONS["gaussian"], name="own", label="Own")
    try:
        assert OPERATIONS["own+canny"].label == "Own, then Canny edges" and list(OPERATIONS) == [*every, "own"]
    finally:
        del OPERATIONS["own"]
    assert "own+canny" not in OPERATIONS


def test_what_is_said_of_a_chain_is_said_of_its_parts_once():
    made = OPERATIONS["gaussian+canny+gaussian"]
    assert made.label == "Gaussian blur, then Canny edges, then Gaussian blur"
    assert made.result == "blur, then edges, then blur"
    assert made.parameters == (*OPERATIONS["gaussian"].parameters, *OPERATIONS["canny"].parameters)
    odd = parse_parameters({"kernel": "3", "sigma": "5", "aperture": "7"})
    alone = remarks(["canny", "gaussian"], odd)
    assert len(alone) == 2
    assert sorted(remarks(["gaussian", "gaussian+canny", "canny+gaussian"], odd)) == sorted(alone)
    with pytest.raises(UserError, match="must not be above the high one"):
        made.check({**DEFAULTS, "canny_low": 300})


def test_a_part_without_strips_or_without_a_gpu_is_named(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "gaussian", replace(OPERATIONS["gaussian"], strips=None, cuda=None, code=None))
    names = ["gaussian+canny", "canny+gaussian", "canny"]
    assert not_in_strips(names) == "Gaussian blur is not cut into strips"
    assert not_on_gpu(names) == "Gaussian blur is not on the GPU."
    assert not_in_strips(["canny+equalize"]) == not_on_gpu(["canny+equalize"]) == ""
    assert OPERATIONS["gaussian+canny"].code is None


def test_the_code_of_a_part_may_return_early():
    early = "if image.ndim == 3:\n    return image\nreturn 255 - image"
    part = replace(OPERATIONS["gaussian"], name="own", code=lambda p, color: early)
    lines = chain([part, OPERATIONS["gaussian"], part]).code(DEFAULTS, False)
    space: dict = {"cv2": cv2, "np": np}
    exec("def made(image):\n" + "\n".join(f"    {line}" for line in lines.splitlines()), space)
    image = picture(40, 30)[:, :, 1].copy()
    assert np.array_equal(space["made"](image), 255 - cv2.GaussianBlur(255 - image, (5, 5), 0))


def test_chains_come_after_operations_each_once_in_the_order_given():
    found = parse_operations(["equalize+canny, gaussian + canny", "equalize", "canny", "gaussian+canny"])
    assert found == ("canny", "equalize", "equalize+canny", "gaussian+canny")


KNOWN = ", ".join(OPERATIONS)
BAD = {
    "gaussian+x": f"There is no operation “x” in “gaussian+x”. Choose from {KNOWN}.",
    "gausian+canny": "There is no operation “gausian” in “gausian+canny”. Did you mean “gaussian”?",
    "gaussian+": f"In “gaussian+” a name is missing. Choose from {KNOWN}.",
    "canny+canny+canny+canny+canny+canny": "Up to 5 operations can be done one after another; "
    "“canny+canny+canny+canny+canny+canny” has 6.",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_chain_is_said(name, client, tmp_path, capsys):
    with pytest.raises(UserError) as told:
        parse_operations(["canny", name])
    assert told.value.message == BAD[name] and told.value.field == "operations" and told.value.limit
    answer = post(client, form("a.jpg", operations=f"canny,{name}"))
    assert answer.status_code == 400
    assert error(answer)["message"] == BAD[name] and error(answer)["field"] == "operations"
    assert main(["process", str(tmp_path), "--out", str(tmp_path / "o"), "--operations", name]) == 2
    assert BAD[name] in capsys.readouterr().err


def test_a_run_has_so_many_chains():
    every = [f"{a}+{b}+{c}" for a in OPERATIONS for b in OPERATIONS for c in OPERATIONS]
    assert len(parse_operations(every[:MOST_CHAINS])) == MOST_CHAINS
    with pytest.raises(UserError, match=f"A run does up to {MOST_CHAINS} chains of operations, not 11."):
        parse_operations(every[: MOST_CHAINS + 1])


def test_names_of_files_are_as_long_as_a_file_system_takes_them():
    names = ["canny", "+".join(["equalize"] * MOST_PARTS)]
    outputs = OutputNames("webp")
    made = [file for stem in ("雪" * 90, "雪" * 91, "a") for file in outputs.of(f"{stem}.jpg", names).values()]
    assert len(set(made)) == 6 and max(len(file.encode()) for file in made) <= MAX_NAME_BYTES
    assert made[-1] == f"a_{names[1]}.webp" and made[1].startswith("雪" * 40) and made[3].startswith("雪" * 40)


# ---------------------------------------------------------------- from one end to the other


def test_the_command_line_makes_its_files_and_the_record_has_it(photos, tmp_path, capsys):
    words = ["process", *map(str, photos), "--out", str(tmp_path / "out"), "--operations", "canny,Gaussian+canny"]
    options = ["--color", "--kernel", "9", "--technique", "threading", "--workers", "2", "--split", "always"]
    assert main([*words, *options, "--budget", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["settings"]["operations"] == ["canny", "gaussian+canny"]
    threads, base = record["techniques"]
    assert threads["identical"] and len(threads["split"]) == 3
    for found in (threads, base):
        assert {"canny", "gaussian+canny"} <= found["stages"].keys() and "gaussian" not in found["stages"]
    shown = timeline(Record.from_dict(record))
    at = shown.stages.index("canny")
    assert (
        shown.stages[at : at + 2] == ["canny", "gaussian+canny"] and {"canny", "gaussian+canny"} == shown.fills.keys()
    )
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(
        f"{photo.stem}_{name}.png" for photo in photos for name in ("canny", "gaussian+canny")
    )
    image = cv2.imread(str(photos[0]))
    found = cv2.imread(str(tmp_path / "out" / f"{photos[0].stem}_gaussian+canny.png"), cv2.IMREAD_UNCHANGED)
    cv2.setNumThreads(1)
    assert np.array_equal(found, cv2.Canny(cv2.GaussianBlur(image, (9, 9), 0), 100, 200))


def test_the_web_takes_it_and_its_page_and_files_show_it(client, settings, store):
    fields = {"operations": ["canny", "gaussian + canny, canny+gaussian"], "color": "on", "workers": "2"}
    answer = post(client, form("a.jpg", technique="threading", budget="1", **fields))
    assert answer.status_code == 202
    run = answer.get_json()["id"]
    assert record_of(settings, run).settings.operations == ["canny", "gaussian+canny", "canny+gaussian"]
    record, folder = record_of(settings, run), settings.RESULTS_DIR / run
    store.claim(1)
    execute(record, settings.UPLOADS_DIR / run, folder, settings, progress=lambda _: None, cancelled=lambda: False)
    record.save(folder)
    store.finish(record)
    assert record.state == "done" and record.techniques[0].identical
    page = client.get(f"/runs/{run}", headers=HTML).text
    assert "Blur, then edges" in page and "Gaussian blur, then Canny edges" in page
    assert re.search(r'href="/runs/\w+\?image=1&amp;operation=gaussian%2Bcanny#images" data-op="gaussian\+canny"', page)
    shown = client.get(f"/runs/{run}?image=1&operation=canny%2Bgaussian", headers=HTML).text
    assert re.search(r'data-op="canny\+gaussian" aria-current="true"', shown)
    name = "a_canny+gaussian.png"
    [link] = re.findall(rf'href="([^"?]*{re.escape(name)})\?download" download="{re.escape(name)}"', shown)
    with client.get(f"{link}?download") as file:
        assert file.status_code == 200 and name in file.headers["Content-Disposition"]
        pixels = cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_UNCHANGED)
    photo = cv2.imdecode(np.frombuffer(jpeg(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(pixels, cv2.GaussianBlur(cv2.Canny(photo, 100, 200), (5, 5), 0))
    [output] = [one for one in record.images[0].outputs if one.operation == "canny+gaussian"]
    with client.get(f"/runs/{run}/previews/{output.preview}") as preview:
        assert preview.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"/runs/{run}/results.zip").data))
    assert any(entry.endswith(name) for entry in archive.namelist())


def test_the_proof_of_a_gray_result_of_a_colour_run_is_of_gray_pixels(tmp_path):
    image = picture()
    made = OPERATIONS["canny+gaussian"].apply(image, DEFAULTS)
    cv2.imwrite(str(tmp_path / "one.png"), made)
    found = check_outputs(CheckJob((("canny+gaussian", str(tmp_path / "one.png"), None),), True), Stopwatch())
    assert found == {"canny+gaussian": (pixels_sha256(made), None)}


def test_the_form_has_a_field_and_keeps_what_was_typed(client):
    page = client.get("/", headers=HTML).text
    assert re.search(r'<input class="form-control" id="operations" name="operations" value="" placeholder="gaus', page)
    again = client.get("/?operations=canny&operations=gaussian%2Bcanny,equalize%2Bcanny", headers=HTML).text
    assert 'name="operations" value="gaussian+canny, equalize+canny"' in again
    assert re.search(r'value="canny" id="op-canny" checked', again)
    assert not re.search(r'value="gaussian" id="op-gaussian" checked', again)
    refused = post(client, form("a.jpg", operations=["canny", "gaussian+x"]), HTML).text
    assert 'name="operations" value="gaussian+x"' in refused
    assert refused.count(BAD["gaussian+x"]) == 2  # above, and at the field


def test_a_preview_has_it(client, unmeasured):
    answer = client.post("/preview", data={"operations": "gaussian+canny"}, headers={"Accept": "application/json"})
    [shown] = answer.get_json()["pictures"]
    assert shown["operation"] == "gaussian+canny" and shown["label"] == "Gaussian blur, then Canny edges"
    assert shown["source"].startswith("data:image/png;base64,") and shown["said"].startswith("blur, then edges: ")


# ---------------------------------------------------------------- predictions


def batch_of(operations, **asked):
    images = [ImageRecord(k, f"{k}.jpg", 2000, 1000, "JPEG", 1_000_000) for k in range(3)]  # as large as is usual
    return Batch(images, RunSettings(operations, DEFAULTS, **asked), "")


@pytest.mark.parametrize("color", [False, True])
def test_a_chain_is_predicted_as_the_sum_of_its_parts(color):
    def operations(names, color=color):
        return predicted_costs(Calibration(), batch_of(names, color=color)).operations

    both = operations(["gaussian"]) + operations(["canny"])
    assert operations(["gaussian+canny"]) == pytest.approx(both)
    # What follows edges works on gray, also of a colour image.
    assert operations(["canny+gaussian"]) == pytest.approx(operations(["canny"]) + operations(["gaussian"], False))


def test_its_file_is_predicted_as_that_of_its_last_part_until_it_was_measured(photos, tmp_path, capsys):
    def encoded(name):
        return predicted_costs(calibration, batch_of([name])).encode

    calibration = Calibration()
    assert encoded("gaussian+canny") == pytest.approx(encoded("canny"))
    options = ["--operations", "gaussian+canny,gaussian", "--budget", "2", "--technique", "threading", "--json"]
    assert main(["process", *map(str, photos), "--out", str(tmp_path / "out"), *options]) == 0
    assert learn(calibration, Record.from_dict(json.loads(capsys.readouterr().out)))
    assert "encode gaussian+canny png gray from JPEG" in calibration.stages
    assert "gaussian gray" in calibration.stages and "gaussian+canny gray" not in calibration.stages
    assert encoded("gaussian+canny") != pytest.approx(encoded("canny"), rel=1e-6)
