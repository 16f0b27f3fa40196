"""What is counted: entries, in the cache where there is one, and the words of an entry, once."""

import logging
import socket

from django.core.cache import cache
from redis.exceptions import RedisError

from entries.models import Entry

KEY = "count"
SECONDS = 300
logger = logging.getLogger(__name__)


def cached_count() -> tuple[int, bool]:
    """How many entries there are, and whether the cache knew. One that is away is as one that knows nothing."""
    try:
        known = cache.get(KEY)
        if known is not None:
            return known, True
        count = Entry.objects.count()
        cache.set(KEY, count, SECONDS)
    except RedisError as error:
        logger.warning("the cache is away: %s", error)
        return Entry.objects.count(), False
    return count, False


def forget_count() -> None:
    """The next visitor has the entries counted anew."""
    try:
        cache.delete(KEY)
    except RedisError as error:
        logger.warning("the cache is away: %s", error)


def count_words(entry: Entry) -> None:
    """Count the words of one entry, and remember which server did."""
    entry.words = len(entry.message.split())
    entry.counted_by = socket.gethostname()
    entry.save(update_fields=["words", "counted_by"])


def count_the_rest() -> int:
    """Count whatever nobody has counted yet; how many entries that were."""
    entries = list(Entry.objects.filter(words=None))
    for entry in entries:
        count_words(entry)
    return len(entries)
