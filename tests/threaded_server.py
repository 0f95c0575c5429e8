"""An HTTP server of the standard library, serving from a thread of its own for as long as a test wants."""

import threading
from contextlib import contextmanager


@contextmanager
def served(server):
    """Serve; the server is closed in the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
