"""What settings.py says of one server in, frozen and checked values out: those to boot, and those that are there."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, IPvAnyAddress, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,23}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Gigabytes = Annotated[int, Field(ge=1, le=65536)]


class Frozen(BaseModel):
    """A value: unknown keys are refused, nothing changes after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def _text_or_properties(value: Any) -> Any:
    if isinstance(value, dict) and value and all(isinstance(part, str) for pair in value.items() for part in pair):
        return value
    if isinstance(value, str) and value:
        return value
    raise ValueError("is an image's name, id or pattern, or properties such as {'os_distro': 'debian'}")


def _several(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


# A name, an id, a pattern ("debian-12*"), or the properties an image must have.
ImageChoice = Annotated[str | dict[str, str], BeforeValidator(_text_or_properties)]
# One name or id, or several of them; the first is where the deployment's servers talk to each other.
Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


class DataVolume(Frozen):
    """A disk besides the server's own, of `size` GB. keep: it stays when the server goes, and comes back with it."""

    name: Name
    size: Gigabytes
    type: str | None = None
    keep: bool = True


def _volumes(value: Any) -> Any:
    """A plain number is a volume of that many GB: data1, data2, ..."""
    if not isinstance(value, (list, tuple)):
        return value
    return [
        {"name": f"data{number}", "size": one} if isinstance(one, int) else one for number, one in enumerate(value, 1)
    ]


class BootedServer(Frozen):
    """One server to boot; (name, flavor) is short for the two. What is None or empty is as for the whole deployment.

    flavor: name, id, or an expression ("ram >= 2048"). volume: boot from a volume of that many GB.
    """

    name: Name
    flavor: str
    image: ImageChoice | None = None
    volume: Gigabytes | None = None
    data_volumes: Annotated[tuple[DataVolume, ...], BeforeValidator(_volumes)] = ()
    network: Names = ()
    zone: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(value) != 2:
                raise ValueError("is (name, flavor), or a dict with these and more")
            return {"name": value[0], "flavor": value[1]}
        return value

    @model_validator(mode="after")
    def _volumes_differ(self) -> BootedServer:
        names = [volume.name for volume in self.data_volumes]
        if len(set(names)) != len(names):
            raise ValueError(f"data_volumes: two have the same name: {', '.join(names)}")
        return self


class FixedServer(Frozen):
    """A server that is there already, on no OpenStack. user and port: how to log in, where not as on all the others."""

    name: Name
    ip: IPvAnyAddress
    user: Identifier | None = None
    port: Port | None = None
