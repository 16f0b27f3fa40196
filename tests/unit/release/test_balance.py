"""nginx's upstreams: which appnodes are marked as down, and what of the configuration is never touched."""

import json
from pathlib import Path

import balance
import jinja2
import pytest

TEMPLATE = Path(balance.__file__).parent / "cookbooks/nginx/templates/site.conf.j2"
CONF = """upstream blog {
  zone upstream-blog 64k;
  server 10.0.0.11:8000 max_fails=2 fail_timeout=10s;
  server 10.0.0.12:8000 max_fails=2 fail_timeout=10s;
  keepalive 32;
}
server {
  listen 443 ssl;
  server_name blog.example;
  return 301 https://$host$request_uri;
}
"""


def test_only_those_are_marked_and_all_is_as_before_in_the_end():
    out, others = balance.marked(CONF, ["10.0.0.11:8000"])
    assert "server 10.0.0.11:8000 max_fails=2 fail_timeout=10s down;" in out
    assert "server 10.0.0.12:8000 max_fails=2 fail_timeout=10s;" in out
    assert others == ["10.0.0.12:8000"]
    other, _ = balance.marked(out, ["10.0.0.12:8000"])
    assert other.count(" down;") == 1
    assert balance.marked(other, [])[0] == CONF


def test_the_addresses_of_the_cookbooks_own_template_are_found():
    text = TEMPLATE.read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("server {{ address }}"))
    rendered = jinja2.Template(line).render(address="[fd00::1]:8000")
    assert balance.marked(rendered, ["[fd00::1]:8000"])[0] == rendered[:-1] + " down;"


@pytest.mark.parametrize("name", ["../x", "a b", "a;b", "$(id)", "a\nb", ""])
def test_a_name_that_is_no_sites_reaches_no_file(name):
    events = []
    assert balance.main({"site": name, "down": []}, events.append) == 1
    assert "is not the name of a site" in json.dumps(events)


def test_a_balancer_without_the_site_has_nothing_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(balance, "SITES", tmp_path)
    events = []
    assert balance.main({"site": "blog", "down": ["10.0.0.11:8000"]}, events.append) == 0
    assert "not served here yet" in events[-1]["result"]["note"]


def test_nobody_is_sent_away_where_nobody_else_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(balance, "SITES", tmp_path)
    monkeypatch.setattr(balance, "ANSWERS", 0.05)
    path = tmp_path / "site-blog.conf"
    path.write_text("  server 127.0.0.1:1 max_fails=2;\n  server 127.0.0.1:2 max_fails=2;\n")
    before = path.read_text()
    events = []
    assert balance.main({"site": "blog", "down": ["127.0.0.1:1"]}, events.append) == 0
    assert "nobody else answers" in events[-1]["result"]["note"]
    assert path.read_text() == before


def test_addresses_are_written_as_the_kernel_does():
    assert balance._kernels("10.87.0.11:8000") == "0B00570A:1F40"
    assert balance._kernels("[::1]:8000") == "00000000000000000000000001000000:1F40"
