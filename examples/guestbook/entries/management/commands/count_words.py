"""Count the words of every entry whose words nobody has counted: where there is no broker, or it was away."""

from django.core.management.base import BaseCommand

from entries.counting import count_the_rest


class Command(BaseCommand):
    help = "Count the words of every entry whose words nobody has counted yet."

    def handle(self, *args, **options):
        self.stdout.write(f"counted {count_the_rest()}")
