"""Images, volumes and server groups: frozen values, as state keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploymachine.devcloud.ids import builtin_id, now
from deploymachine.devcloud.image import offered

VOLUME_TYPES = ("standard", "fast")  # the same files behind both: there to be chosen between
ROOT_DEVICE = "/dev/vda"


@dataclass(frozen=True)
class Image:
    """base: the release it comes from, "" for one uploaded. layers: ids of the snapshots it is made of, itself first.

    properties: strings by name, as the API shows them. size: in bytes. min_disk: in GB. min_ram: in MB.
    """

    id: str
    name: str
    base: str = ""
    layers: list[str] = field(default_factory=list)
    status: str = "active"
    properties: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    visibility: str = "shared"
    protected: bool = False
    hidden: bool = False
    size: int | None = 0
    checksum: str | None = None
    sha512: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    disk_format: str | None = "raw"
    container_format: str | None = "bare"
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)


def releases() -> list[Image]:
    """What every project has to boot from."""
    born = "2025-01-01T00:00:00Z"
    return [
        Image(
            id=builtin_id("image", name),
            name=name,
            base=name,
            # who looks for a Debian by its properties means a plain one
            properties={} if release.packages else {"os_distro": "debian", "os_version": release.version},
            visibility="public",
            protected=True,
            created=born,
            updated=born,
        )
        for name, release in offered().items()
    ]


@dataclass(frozen=True)
class Volume:
    """size: in GB. status: Cinder's word. image_id: what it was filled from. image_facts: that image's, as Cinder
    copies them."""

    id: str
    size: int
    name: str = ""
    description: str | None = None
    status: str = "creating"
    type: str = VOLUME_TYPES[0]
    zone: str = "nova"
    metadata: dict[str, str] = field(default_factory=dict)
    image_id: str | None = None
    image_facts: dict[str, str] = field(default_factory=dict)
    source_id: str | None = None
    bootable: bool = False
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)


@dataclass(frozen=True)
class Attachment:
    """device: "/dev/vdb" and so on; "/dev/vda" is the root disk. ends_with_server: the volume goes, too."""

    id: str
    volume_id: str
    server_id: str
    device: str
    ends_with_server: bool = False
    tag: str | None = None
    created: str = field(default_factory=now)

    @property
    def root(self) -> bool:
        return self.device == ROOT_DEVICE


@dataclass(frozen=True)
class ServerGroup:
    """policy: "anti-affinity", "affinity" or one of them with "soft-" before it. per_host: of anti-affinity."""

    id: str
    name: str
    policy: str
    per_host: int = 1
    rules: dict[str, int] = field(default_factory=dict)
