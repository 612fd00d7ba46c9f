"""python-socketio with the same verbs as ahd: `PORT=… python python_socketio.py uvicorn|tornado`."""

import asyncio
import os
import sys
import time

import socketio

ROOM = "defaultRoom"
kind, port = sys.argv[1], int(os.environ["PORT"])
sio = socketio.AsyncServer(async_mode="asgi" if kind == "uvicorn" else "tornado", cors_allowed_origins="*")
counts: dict[str, int] = {}


@sio.event
async def connect(sid, environ):
    counts[sid] = 0
    await sio.enter_room(sid, ROOM)
    await sio.emit("welcome", {"welcome": "Welcome", "room": ROOM, "context": "api"}, to=sid)


@sio.event
def disconnect(sid, reason):
    counts.pop(sid, None)


@sio.event
async def action(sid, data):
    counts[sid] = count = counts[sid] + 1
    if data.pop("action", None) != "echo":
        data = {"error": "unknown action"}
    await sio.emit("response", {"context": "response", "messageCount": count, **data}, to=sid)


@sio.event
async def say(sid, data):
    counts[sid] = count = counts[sid] + 1
    body = {"message": data["message"], "room": ROOM, "from": sid, "context": "user", "sentAt": int(time.time() * 1000)}
    await sio.emit("say", body, room=ROOM, skip_sid=sid)
    await sio.emit("response", {"context": "response", "status": "OK", "messageCount": count}, to=sid)


async def on_tornado():
    import tornado.web

    application = tornado.web.Application([(r"/socket.io/", socketio.get_tornado_handler(sio))])
    application.listen(port, "127.0.0.1", backlog=1024)
    await asyncio.Event().wait()


if kind == "uvicorn":
    import uvicorn

    uvicorn.run(
        socketio.ASGIApp(sio), host="127.0.0.1", port=port, log_level="warning", loop="uvloop", http="httptools"
    )
else:
    asyncio.run(on_tornado())
