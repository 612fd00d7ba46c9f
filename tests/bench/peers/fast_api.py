"""FastAPI on uvicorn with uvloop and httptools: `PORT=… FILES=… python fast_api.py`."""

import os

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

app = FastAPI()


@app.get("/api/typedEcho")
async def echo(text: str, number: int):
    return {"text": text, "number": number}


app.mount("/public", StaticFiles(directory=os.environ["FILES"]))
uvicorn.run(
    app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False, loop="uvloop",
    http="httptools",
)  # fmt: skip
