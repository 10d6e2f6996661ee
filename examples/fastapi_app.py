"""The same intake and the same record behind FastAPI: images in, results and record out.

    pip install fastapi python-multipart uvicorn
    uvicorn --app-dir examples fastapi_app:app
    curl -F images=@a.jpg -F images=@b.jpg -F operation=gaussian http://127.0.0.1:8000/process

Files are judged by their content, each decoded once in a process that may die of it, within the limits that the web app
has (MAX_MEGAPIXELS, MAX_FILES and so on). FastAPI has kept an upload on the disk before any of this sees it, so how
large one may be is for the server in front to say.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse

from imgproc import Record, UserError, compare, load, process
from imgproc.measure.environment import usable_cores
from imgproc.runs.record import ImageRecord
from imgproc.runs.uploads import inspect_files
from imgproc.settings import Settings

STATUS = {"not_found": 404, "too_large": 413, "unsupported_type": 415, "refused_image": 422, "disk_full": 507}
Text = Annotated[str, Form()]
RunId = Annotated[str, InPath(pattern="^[0-9a-f]{12}$")]


@contextmanager
def vetted(images: list[UploadFile]) -> Iterator[tuple[Path, list[ImageRecord]]]:
    """A folder with those images that may come in, which is gone afterwards, and what was found of each.

    Raises:
        UserError: none may, or there are too many.
    """
    settings = Settings.from_environment()
    if len(images) > settings.MAX_FILES:
        raise UserError(f"One run takes up to {settings.MAX_FILES:,} files.", code="too_large", field="images")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        incoming = [(image.filename or "unnamed", folder / f"incoming-{n}") for n, image in enumerate(images)]
        for image, (_, path) in zip(images, incoming, strict=True):
            with path.open("wb") as file:
                shutil.copyfileobj(image.file, file)
        found = inspect_files(incoming, folder / "images", folder / "previews", settings, processes=usable_cores())
        if all(image.error for image in found):
            reasons = " ".join(f"{image.name}: {image.error}" for image in found)
            raise UserError(f"None of the files can be used. {reasons}", code=found[0].code or "refused_image")
        yield folder / "images", found


def answer(record: Record, found: list[ImageRecord]) -> dict[str, Any]:
    """The record, by the names that the images were sent under, and which were refused."""
    names = {image.stored: image.name for image in found}
    for image in record.images:
        image.name = names[Path(image.name).name]
    refused = [{"name": image.name, "code": image.code, "error": image.error} for image in found if image.error]
    return {"record": record.to_dict(), "refused": refused}


def create_app(folder: Path) -> FastAPI:
    """An app that keeps results in ``folder``, which is made when the first come."""
    app = FastAPI(title="Speedup Lab")

    @app.exception_handler(UserError)
    def refuse(_: Request, problem: UserError) -> JSONResponse:
        return JSONResponse({"error": problem.as_dict()}, STATUS.get(problem.code, 400))

    # Not ``async``: FastAPI runs these in threads, so that others are answered meanwhile.
    @app.post("/process", status_code=201)
    def process_images(images: list[UploadFile], operation: Text = "canny", technique: Text = "auto") -> dict[str, Any]:
        run_id = secrets.token_hex(6)
        results = folder / run_id
        with vetted(images) as (vetted_images, found):
            done = process(operation, vetted_images, results / "images", technique=technique, progress=False)
        done.record.id = run_id
        told = answer(done.record, found)
        done.record.save(results)
        files = [f"/runs/{run_id}/images/{output.file}" for image in done.images for output in image.outputs]
        return {"id": run_id, "url": f"/runs/{run_id}", "results": files, **told}

    @app.post("/compare")
    def compare_techniques(
        images: list[UploadFile],
        operation: Text = "canny",
        techniques: Text = "threading,multiprocessing",
        budget: Annotated[float, Form()] = 10.0,
    ) -> dict[str, Any]:
        with vetted(images) as (vetted_images, found):
            measured = compare(
                operation, vetted_images, techniques=techniques.split(","), budget=budget, progress=False
            )
        return {"best": measured.best, "table": measured.table(), **answer(measured.record, found)}

    @app.get("/runs/{run_id}")
    def record(run_id: RunId) -> dict[str, Any]:
        return load(folder / run_id).to_dict()

    @app.get("/runs/{run_id}/images/{file}")
    def result(run_id: RunId, file: str) -> FileResponse:
        made = {output.file for image in load(folder / run_id).images for output in image.outputs}
        if file not in made:
            raise UserError("There is no such file in this run.", code="not_found")
        return FileResponse(folder / run_id / "images" / file)

    return app


app = create_app(Path("fastapi-results"))
