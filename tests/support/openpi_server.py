"""A policy server in openpi's protocol, written with msgpack and websockets alone; it prints its port.

It answers with a chunk that tells what it was asked: the mean of the picture, and the state's first number.
"""

import sys

import msgpack
import numpy as np
from websockets.sync.server import serve


def write(value):
    return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}


def read(found):
    if b"__ndarray__" in found:
        return np.ndarray(buffer=found[b"data"], dtype=np.dtype(found[b"dtype"]), shape=found[b"shape"])
    return found


def answer(connection):
    if connection.request.headers.get("Authorization") not in (None, "Api-Key right"):
        connection.close(1008, "wrong key")
        return
    connection.send(msgpack.packb({"name": "test"}))
    for message in connection:
        asked = msgpack.unpackb(message, object_hook=read)
        if asked["prompt"] == "fail":
            connection.send("Traceback: the policy broke")
            connection.close(1011)
            return
        if asked["prompt"] == "empty":
            connection.send(msgpack.packb({"server_timing": {"infer_ms": 1.0}}))
            continue
        if asked["prompt"] == "hang":
            continue
        told = [asked["observation/image"].mean(), asked["observation/state"][0]]
        actions = np.tile(np.array(told, np.float32), (4, 1)) + np.arange(4, dtype=np.float32)[:, None]
        connection.send(msgpack.packb({"actions": actions, "server_timing": {"infer_ms": 1.0}}, default=write))


if __name__ == "__main__":
    with serve(answer, "127.0.0.1", 0) as server:
        print(server.socket.getsockname()[1], flush=True)
        sys.stdout.flush()
        server.serve_forever()
