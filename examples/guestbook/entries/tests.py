"""What a visitor, a browser and a monitor see of the guestbook."""

from io import StringIO
from unittest import mock

from django.core.cache import cache
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client, TestCase, override_settings
from redis.exceptions import ConnectionError as CacheIsAway

from entries import tasks
from entries.models import Entry

PLAIN_STATIC = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


@override_settings(STORAGES=PLAIN_STATIC, ALLOWED_HOSTS=["testserver"], SECRET_KEY="only-for-tests")
class BookTests(TestCase):
    def test_an_empty_book_invites(self):
        self.assertContains(self.client.get("/"), "be the first")

    def test_signing_shows_the_words_and_thanks(self):
        page = self.client.post("/", {"name": "Ada", "message": "Hello\nthere"}, follow=True)
        self.assertContains(page, "Thank you, Ada")
        self.assertContains(page, "Hello<br>there")
        self.assertContains(page, "1 visitor signed")

    def test_newest_comes_first(self):
        for name in ("first", "second"):
            Entry.objects.create(name=name, message="x")
        html = self.client.get("/").content.decode()
        self.assertLess(html.index("second"), html.index("<strong>first"))

    def test_words_are_escaped(self):
        Entry.objects.create(name="<b>Eve</b>", message="<script>alert(1)</script>")
        page = self.client.get("/")
        self.assertNotContains(page, "<script>")
        self.assertContains(page, "&lt;b&gt;Eve&lt;/b&gt;")

    def test_an_empty_message_is_refused_and_nothing_is_kept(self):
        page = self.client.post("/", {"name": "Ada", "message": " "})
        self.assertContains(page, "This field is required", status_code=422)
        self.assertEqual(Entry.objects.count(), 0)

    def test_a_form_without_its_token_is_refused(self):
        self.assertEqual(Client(enforce_csrf_checks=True).post("/", {"name": "a", "message": "b"}).status_code, 403)

    def test_the_page_names_its_server(self):
        with mock.patch("socket.gethostname", return_value="appnode7"):
            self.assertContains(self.client.get("/"), "appnode7")

    def test_an_unknown_host_is_refused(self):
        self.assertEqual(self.client.get("/healthz", headers={"host": "elsewhere.example"}).status_code, 400)


LOCAL = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@override_settings(STORAGES=PLAIN_STATIC, ALLOWED_HOSTS=["testserver"], SECRET_KEY="only-for-tests", CACHES=LOCAL)
class CacheTests(TestCase):
    def setUp(self):
        cache.clear()

    def test_the_second_visitor_gets_the_count_from_the_cache(self):
        self.assertNotContains(self.client.get("/"), "counted before")
        self.assertContains(self.client.get("/"), "counted before")

    def test_a_new_entry_is_counted(self):
        self.client.get("/")
        page = self.client.post("/", {"name": "Ada", "message": "Hello"}, follow=True)
        self.assertContains(page, "1 visitor signed")

    def test_a_cache_that_is_away_keeps_nobody_from_signing(self):
        away = CacheIsAway("refused")
        with (
            mock.patch("entries.counting.cache", get=mock.Mock(side_effect=away), delete=mock.Mock(side_effect=away)),
            self.assertLogs("entries.counting"),
        ):
            page = self.client.post("/", {"name": "Ada", "message": "Hello"}, follow=True)
        self.assertContains(page, "1 visitor signed")


@override_settings(STORAGES=PLAIN_STATIC, ALLOWED_HOSTS=["testserver"], SECRET_KEY="only-for-tests")
class TaskTests(TestCase):
    def test_words_are_counted_and_the_page_says_by_whom(self):
        entry = Entry.objects.create(name="Ada", message="one two\nthree")
        with mock.patch("socket.gethostname", return_value="tasknode7"):
            tasks.count_words(entry.pk)
        self.assertContains(self.client.get("/"), "3 words, counted by tasknode7")

    def test_an_entry_that_is_gone_is_no_trouble(self):
        tasks.count_words(4711)

    def test_without_a_broker_nothing_is_handed_over_and_the_command_counts(self):
        self.client.post("/", {"name": "Ada", "message": "Hello there"})
        self.assertNotContains(self.client.get("/"), "counted by")
        for expected in ("counted 1\n", "counted 0\n"):
            told = StringIO()
            call_command("count_words", stdout=told)
            self.assertEqual(told.getvalue(), expected)

    @override_settings(CELERY_BROKER_URL="amqp://somewhere")
    def test_signing_hands_over(self):
        with mock.patch("entries.tasks.count_words.delay") as delay:
            self.client.post("/", {"name": "Ada", "message": "Hello"})
        delay.assert_called_once_with(Entry.objects.get().pk)

    @override_settings(CELERY_BROKER_URL="amqp://somewhere")
    def test_a_broker_that_is_away_keeps_nobody_from_signing(self):
        away = mock.patch("entries.tasks.count_words.delay", side_effect=tasks.OperationalError("refused"))
        with away, self.assertLogs("entries.tasks"):
            page = self.client.post("/", {"name": "Ada", "message": "Hello"}, follow=True)
        self.assertContains(page, "1 visitor signed")


@override_settings(ALLOWED_HOSTS=["testserver"], SECRET_KEY="only-for-tests")
class HealthTests(TestCase):
    def test_it_is_well_when_the_database_answers(self):
        page = self.client.get("/healthz")
        self.assertEqual((page.status_code, page.content), (200, b"ok\n"))

    def test_it_says_so_when_the_database_is_away(self):
        with mock.patch("entries.views.connection.cursor", side_effect=OperationalError("refused")):
            self.assertEqual(self.client.get("/healthz").status_code, 503)
