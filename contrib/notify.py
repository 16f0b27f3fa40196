"""A deploy that ended in; a line about it to the webhooks that NOTIFY names out. What goes wrong there stops nothing.

A webhook's URL is a secret: it stands in no message, whatever becomes of the request.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.errors import ConvergeError, SettingsError
from deploymachine.tasks import deployment, task

if TYPE_CHECKING:
    from deploymachine.secrets import Secret
    from deploymachine.servertypes import Deployment
    from deploymachine.settings_notify import Webhook

SECONDS = 5.0
LONGEST = 3000  # characters; Slack cuts at 4000
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # as Slack wants it; else they make links


@task()
def test(_: Context) -> None:
    """Send a line to every webhook of NOTIFY and say what each answered: `fab notify.test`. Changes nothing."""
    here = deployment()
    if not here.settings.NOTIFY:
        raise SettingsError("NOTIFY in settings.py names no webhook", hint="settings.py.dist shows one")
    text = f"{here.settings.DEPLOYMENT}: this is how deploys will be told here"
    wrong = _tell_all(here.settings.NOTIFY, text, here)
    if wrong:
        raise ConvergeError(f"{len(wrong)} of {len(here.settings.NOTIFY)} webhooks did not take it", evidence=wrong)
    print(f"{len(here.settings.NOTIFY)} took it")


def deployed(
    here: Deployment,
    site: str,
    release: str,
    *,
    servers: Sequence[str],
    action: str = "deploy",
    error: str = "",
    by: str = "",
    seconds: float | None = None,
) -> None:
    """Tell the webhooks how a deploy ended; never raises, and takes no longer than a few seconds.

    action: "deploy" or "rollback". error: what failed, one line; "" where all went well. by: who did it. Where a
    webhook does not take it, a warning goes to standard error.
    """
    text = told(here.settings.DEPLOYMENT, site, release, servers, action, error, by, seconds)
    wanted = [
        one for one in here.settings.NOTIFY if (not one.sites or site in one.sites) and (one.when == "always" or error)
    ]
    for wrong in _tell_all(wanted, text, here):
        print(f"warning: {wrong}", file=sys.stderr)


def told(
    where: str,
    site: str,
    release: str,
    servers: Sequence[str],
    action: str,
    error: str,
    by: str,
    seconds: float | None,
) -> str:
    """The sentence: "mysite: blog was deployed: 2026…-3acb307 on appnode1, appnode2 by ada, 4 s"."""
    done = {"deploy": "was deployed", "rollback": "was rolled back"}.get(action, action)
    what = f"the {action} of {site} failed" if error else f"{site} {done}"
    parts = [f"{where}: {what}: {release}", f"on {', '.join(servers)}" if servers else "", f"by {by}" if by else ""]
    sentence = " ".join(part for part in parts if part) + (f", {seconds:.0f} s" if seconds is not None else "")
    return sentence + (f"\n{error}" if error else "")


def _tell_all(webhooks: Sequence[Webhook], text: str, here: Deployment) -> list[str]:
    """Send it to all at once; a line for each that did not take it."""
    with ThreadPoolExecutor(max_workers=max(1, len(webhooks))) as pool:
        return [wrong for wrong in pool.map(lambda one: _tell(one, text, here), webhooks) if wrong]


def _tell(webhook: Webhook, text: str, here: Deployment) -> str:
    """Send it; what went wrong, for people, or ""."""
    try:
        wrong = _post(here.secrets.given(webhook.secret, "NOTIFY"), text)
    except SettingsError as error:
        wrong = ", ".join(part for part in (error.what, error.hint) if part)
    except Exception as error:  # whatever it is: no deploy fails of it, and its words may hold the URL
        wrong = type(error).__name__
    return f"the webhook {webhook.secret} was not told: {wrong}" if wrong else ""


def _post(url: Secret, text: str) -> str:
    """What the other side, or the way there, objects; "" where it took it. Never the URL."""
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        """A message that is sent on elsewhere would leave for where nobody meant it to go."""

        def redirect_request(self, *_: object) -> None:
            return None

    if not url.strip().startswith(("https://", "http://")):
        return "the secret holds no URL that begins with https:// or http://"
    body = json.dumps({"text": text[:LONGEST].translate(ESCAPED)}).encode()
    request = Request(url.strip(), body, {"Content-Type": "application/json"})  # noqa: S310 (looked at above)
    try:
        with build_opener(Stay).open(request, timeout=SECONDS) as answer:
            answer.read(1)
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except URLError as error:
        return _reason(error.reason)
    except OSError as error:
        return _reason(error)
    return ""


def _reason(error: object) -> str:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer in {SECONDS:.0f} s"
    known = isinstance(error, OSError) and error.strerror
    return str(known or type(error).__name__)
