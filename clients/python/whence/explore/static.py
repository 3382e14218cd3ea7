"""The page's files, which are served as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PAGE: Final = Path(__file__).with_name("page")
KINDS: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


def routes(folder: Path = PAGE) -> list[Route]:
    """Return the routes of the page: its document at /, and every file under /page/."""

    def document(request: Request) -> Response:
        return file_response(request, folder / "index.html")

    def file(request: Request) -> Response:
        # Of the files that are there, and no path that a request could make up.
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in KINDS}
        path = files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        return file_response(request, path)

    compressed = [Middleware(GZipMiddleware, minimum_size=1024)]
    return [Route("/", document, middleware=compressed), Route("/page/{name:path}", file, middleware=compressed)]


def file_response(request: Request, path: Path) -> Response:
    """Return a file, or that the caller's copy is still right."""
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # A file of another version must not run beside this one's.
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=KINDS[path.suffix])
