"""A release whose pages never answer, and a full disk at other moments: what served before serves."""

from tests.unit.release.site_world import APP


def silent(word):
    """A site that takes every connection and says nothing."""
    return APP.format(word=word, status=200).replace(
        "        wanted =", "        import time; time.sleep(600)\n        wanted ="
    )


def test_a_health_check_that_never_answers_puts_the_old_release_back(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    machine.site["health_timeout"] = 2
    release = machine.fetched(repository, repository.commit("two", files={"app.py": silent("two")}))[1]["release"]
    code, result = machine.ask("switch", release=release)
    assert (code, result["put_back"], result["put_back_healthy"]) == (1, live, True)
    assert machine.failure["what"] == f"Release {release['name']} of blog does not answer as it should"
    assert "2 s long" in machine.failure["why"]
    assert machine.word() == "one"


def test_a_disk_that_is_full_at_collectstatic_leaves_nothing_of_the_new_release(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    hook = "#!/bin/sh\nmkdir -p collected && ln -sf /dev/full collected/site.css\n"
    files = {"assets/site.css": "body {}", "deploy/hooks/build": hook}
    repository.commit("two", files=files)
    repository.git("update-index", "--chmod=+x", "deploy/hooks/build")
    repository.git("commit", "--quiet", "-m", "a full disk")
    assert machine.fetched(repository, repository.git("rev-parse", "HEAD"))[0] == 1
    assert machine.steps["collectstatic"] == "failed"
    assert "No space left on device" in machine.failure["why"]
    assert (machine.releases(), machine.word()) == ([live], "one")
    assert machine.ask("state")[1]["healthy"]
