"""What a visitor, a browser and a monitor see of the guestbook."""

from unittest import mock

from django.db import OperationalError
from django.test import Client, TestCase, override_settings

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


@override_settings(ALLOWED_HOSTS=["testserver"], SECRET_KEY="only-for-tests")
class HealthTests(TestCase):
    def test_it_is_well_when_the_database_answers(self):
        page = self.client.get("/healthz")
        self.assertEqual((page.status_code, page.content), (200, b"ok\n"))

    def test_it_says_so_when_the_database_is_away(self):
        with mock.patch("entries.views.connection.cursor", side_effect=OperationalError("refused")):
            self.assertEqual(self.client.get("/healthz").status_code, 503)
