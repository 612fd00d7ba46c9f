"""Binding unix sockets."""

from __future__ import annotations

import os
import socket
import stat


def bind_unix(path: str, mode: int) -> socket.socket:
    """A bound unix socket. A file left by a listener that is gone is removed.

    Raises OSError, FileExistsError for what is no socket.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            left = os.stat(path)
        except FileNotFoundError:
            pass
        else:
            if not stat.S_ISSOCK(left.st_mode):
                raise FileExistsError(17, "there is a file that is no socket", path)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1.0)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
                except OSError:
                    pass  # bind() says what is wrong
        sock.bind(path)
        os.chmod(path, mode)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = path  # bind() does not say which
        raise
    return sock
