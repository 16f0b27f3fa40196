"""What is done after a visitor was answered."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from entries import counting
from entries.models import Entry

logger = logging.getLogger(__name__)


def hand_over(entry_id: int) -> None:
    """Have a worker count the words of an entry. Where the broker is away, the beat or CRON will."""
    try:
        count_words.delay(entry_id)
    except OperationalError as error:
        logger.warning("the broker is away: %s", error)


@shared_task
def count_words(entry_id: int) -> None:
    entry = Entry.objects.filter(pk=entry_id).first()
    if entry is not None:
        counting.count_words(entry)


@shared_task
def count_the_rest() -> None:
    counting.count_the_rest()
