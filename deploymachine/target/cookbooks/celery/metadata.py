"""The tasknode: what the sites do when nobody waits for it."""

__description__ = "Celery's workers for each site and queue, and its beat on the one node that has it, under supervisor"
__config__ = {
    "celery.sites": {
        "description": "Sites as in django.sites, with programs: [{name, command, processes}] that do their tasks",
        "default": [],
    },
    "celery.graceful_timeout": {"description": "Seconds a leaving worker has for its tasks", "default": 60},
}


def __loader__(kit):  # noqa: N807 - the recipe language calls it so
    kit.cookbook("gunicorn")
