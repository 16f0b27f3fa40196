"""Nova's own API as it was at the end of 2019: it speaks no microversion above 2.79."""

from __future__ import annotations

from nova.api.openstack import api_version_request

api_version_request._MAX_API_VERSION = "2.79"  # before anything else of the API reads it

from nova.wsgi.osapi_compute import application  # noqa: E402

__all__ = ["application"]
