"""Which commit is meant, who brings it to the servers, and what is said when there is none."""

import base64
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploymachine.errors import ReleaseError
from deploymachine.source import Place, bundle, resolve


def resolved(repository, ref, tmp_path, directory=None):
    return resolve(str(repository), ref, site="blog", directory=directory or tmp_path, state=tmp_path / "state")


def test_a_branch_a_tag_a_commit_and_head_are_found_in_a_local_repository(repository, tmp_path):
    first = repository.commit("one")
    repository.git("tag", "-a", "v1", "-m", "one")
    second = repository.commit("two")
    for ref, sha in {"main": second, "v1": first, first: first, first[:9]: first, "HEAD": second}.items():
        source = resolved(repository.path, ref, tmp_path)
        assert (source.sha, source.repository) == (sha, repository.path)


def test_relative_paths_start_at_the_settings_and_file_urls_are_paths(repository, tmp_path):
    sha = repository.commit()
    assert resolved("origin", "main", tmp_path).sha == sha
    assert resolved(f"file://{repository.path}", "main", tmp_path).sha == sha


def test_work_that_is_not_committed_is_mentioned(repository, tmp_path):
    repository.commit()
    assert resolved(repository.path, "main", tmp_path).note == ""
    (repository.path / "app.py").write_text("changed")
    assert "1 changed files" in resolved(repository.path, "main", tmp_path).note


@pytest.mark.parametrize("ref", ["mian", "feature/x;touch y", "--upload-pack=touch owned", "$(touch owned)", "a b", ""])
def test_an_unknown_ref_is_named_with_what_there_is(repository, tmp_path, ref):
    repository.commit()
    with pytest.raises(ReleaseError) as caught:
        resolved(repository.path, ref, tmp_path)
    assert repr(ref) in caught.value.what
    assert "main" in caught.value.why
    assert not list(tmp_path.rglob("owned"))


def test_a_near_miss_is_suggested(repository, tmp_path):
    repository.commit()
    with pytest.raises(ReleaseError, match="did you mean 'main'"):
        resolved(repository.path, "mian", tmp_path)


def test_no_directory_no_repository_and_an_empty_one_are_told_apart(repository, tmp_path):
    with pytest.raises(ReleaseError, match="is not there"):
        resolved("nowhere", "main", tmp_path)
    (tmp_path / "plain").mkdir()
    with pytest.raises(ReleaseError, match="is not a git repository"):
        resolved("plain", "main", tmp_path)
    with pytest.raises(ReleaseError, match="is empty"):
        resolved(repository.path, "main", tmp_path)


def test_a_part_of_a_repository_is_refused_with_the_settings_to_write(repository, tmp_path):
    repository.commit(files={"web/x": ""})
    with pytest.raises(ReleaseError) as caught:
        resolved(repository.path / "web", "main", tmp_path)
    assert "'directory' to 'web'" in caught.value.hint


def test_a_bundle_holds_only_what_the_server_lacks(repository, tmp_path):
    first = repository.commit("one", files={"big": "x" * 10 + "y" * 100_000})
    old = resolved(repository.path, first, tmp_path)
    second = repository.commit("two")
    source = resolved(repository.path, "main", tmp_path)
    whole, more = bundle(source, []), bundle(source, [first, "f" * 40, "rubbish"])
    assert 0 < len(more) < len(whole)
    assert bundle(source, [second]) == b""
    assert bundle(old, [second]) == b""
    assert source.request(more)["size"] == len(more)


def test_the_users_repository_stays_as_it_is(repository, tmp_path):
    repository.commit("one")
    before = repository.git("for-each-ref"), repository.git("status", "--porcelain")
    bundle(resolved(repository.path, "main", tmp_path), [])
    assert (repository.git("for-each-ref"), repository.git("status", "--porcelain")) == before


@pytest.mark.parametrize(
    ("address", "url", "public"),
    [
        ("https://example.org/team/site.git", "https://example.org/team/site.git", True),
        ("https://me:s3cret@example.org:8443/site.git", "https://example.org:8443/site.git", False),
        ("http://127.0.0.1:9/site.git", "http://127.0.0.1:9/site.git", False),
        ("ssh://git:s3cret@example.org/site.git", "ssh://git@example.org/site.git", False),
        ("git@example.org:team/site.git", "git@example.org:team/site.git", False),
    ],
)
def test_only_what_anybody_may_read_is_left_to_the_servers(tmp_path, address, url, public):
    place = Place.read(address, tmp_path)
    assert (place.url, place.public, place.path) == (url, public, None)
    assert "s3cret" not in place.url


@pytest.fixture
def web(tmp_path):
    """Serves tmp_path over HTTP; what was asked with which Authorization is kept."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append((self.path, self.headers["Authorization"]))

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_private_url_is_read_here_with_its_credentials_and_pushed(repository, tmp_path, web):
    port, asked = web
    sha = repository.commit()
    subprocess.run(["git", "clone", "-q", "--bare", repository.path, tmp_path / "site.git"], check=True)
    subprocess.run(["git", "-C", tmp_path / "site.git", "update-server-info"], check=True)
    source = resolved(f"http://me:s3cret@127.0.0.1:{port}/site.git", "main", tmp_path)
    assert source.sha == sha
    assert bundle(source, [])
    assert "s3cret" not in str(source)
    assert asked[0][1] == "Basic " + base64.b64encode(b"me:s3cret").decode()
    with pytest.raises(ReleaseError) as caught:
        resolved(f"http://me:s3cret@127.0.0.1:{port}/other.git", "main", tmp_path)
    assert f"http://127.0.0.1:{port}/other.git" in caught.value.where
    assert "s3cret" not in str(caught.value)


def test_an_address_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(ReleaseError) as caught:
        resolved("https://does-not-exist.invalid/site.git", "main", tmp_path)
    assert caught.value.where == "https://does-not-exist.invalid/site.git"
    assert caught.value.why
    assert caught.value.hint
