"""A hub on this machine, for tests of downloads."""

import hashlib
import http.server
import threading
from contextlib import contextmanager
from pathlib import Path


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download needs: files by repository, revision and name."""

    folder: Path
    asked: list[str]

    def do_HEAD(self, body=False):
        self.asked.append(self.path)
        owner, name, _, revision, file = self.path.lstrip('/').split('/', 4)
        path = self.folder / file
        if (owner, name, revision) != ('someone', 'net', 'main') or not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header('X-Repo-Commit', '0' * 40)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_GET(self):
        self.do_HEAD(body=True)

    def log_message(self, *args):
        pass


@contextmanager
def serving(folder):
    """The address of a hub with a repository ``someone/net``, and the list of what it is asked."""
    handler = type('Handler', (Hub,), dict(folder=folder, asked=[]))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', handler.asked
        server.shutdown()
