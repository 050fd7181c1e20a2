"""A bare aiohttp pass-through, the cost of a hop that does nothing: `python -m tools.bench.floor PORT ENGINE`.

It answers `POST /v1/tasks` by itself, with a 202 for whatever comes: the cost of an admission that admits nothing.
"""

import sys

import aiohttp
from aiohttp import web


def build(engine_port: int) -> web.Application:
    """The application."""

    async def relay(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        url = f"http://127.0.0.1:{engine_port}{request.path}"
        headers = {"Content-Type": "application/json"}
        async with request.app[SESSION].request(request.method, url, data=body, headers=headers) as answer:
            response = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async def accept(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"task_id": "", "queue_position": 0}, status=202)

    async def opened(app: web.Application) -> None:
        app[SESSION] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    app = web.Application()
    app.on_startup.append(opened)
    app.router.add_post("/v1/tasks", accept)
    app.router.add_route("*", "/{path:.*}", relay)
    return app


SESSION = web.AppKey("session", aiohttp.ClientSession)


def main() -> None:
    """Serve until killed."""
    import uvloop

    web.run_app(
        build(int(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        access_log=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
