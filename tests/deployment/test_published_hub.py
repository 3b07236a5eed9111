"""A published network from the hub, by the name of its repository."""

import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from mmseg_sparsemask.deployment import load_published

pytest.importorskip('safetensors')


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


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    pytest.importorskip('huggingface_hub')
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    handler = type('Handler', (Hub,), dict(folder=folder, asked=[]))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', handler.asked
        server.shutdown()


def test_from_the_hub_by_repository_name(hub, folder, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endpoint, asked = hub
    predictor = load_published('someone/net', endpoint=endpoint)
    assert (predictor(image) == load_published(folder)(image)).all()
    # Nothing but the two files that are read.
    assert {path.rsplit('/', 1)[1] for path in asked} == {'config.json', 'model.safetensors'}
    with pytest.raises(ValueError, match='the hub does not give it'):
        load_published('someone/other', endpoint=endpoint)


def test_a_folder_of_that_name_comes_first(hub, folder, tmp_path, monkeypatch):
    endpoint, asked = hub
    (tmp_path / 'someone').mkdir()
    (tmp_path / 'someone/net').symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    load_published('someone/net', endpoint=endpoint)
    assert asked == []
