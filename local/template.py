"""Reads the parts of template.yaml that the front door and the deployment need."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse
from yaml import YAMLError

Template = dict[str, Any]

# By type of resource: the property that names the code, and the archive's folder in which Lambda looks for it.
CODE = {
    "AWS::Serverless::Function": ("CodeUri", ""),
    "AWS::Serverless::LayerVersion": ("ContentUri", "python/"),
}


@dataclass(frozen=True)
class Route:
    """One route of the HTTP API, such as `GET /v1/order/{order_id+}`. `function` is the logical id of its function."""

    method: str
    path: str
    function: str

    @property
    def key(self) -> str:
        return self.path if self.path == "$default" else f"{self.method} {self.path}"


class TemplateError(Exception):
    """The template cannot be parsed, or names code that does not exist."""


def load(path: Path) -> Template:
    """Parses a template. Raises TemplateError."""
    try:
        template: Template = yaml_parse(path.read_text())
    except YAMLError as error:
        raise TemplateError(f"{path.name}: {error}") from None
    return template


def routes(template: Template) -> list[Route]:
    """The routes of every HttpApi event of every function."""
    found = []
    for name, resource in template["Resources"].items():
        for event in resource.get("Properties", {}).get("Events", {}).values():
            if event["Type"] == "HttpApi":
                properties = event.get("Properties", {})
                method = str(properties.get("Method", "ANY")).upper()
                found.append(Route(method, str(properties.get("Path", "$default")), name))
    return found


def access_log(template: Template) -> str:
    """The format of the HTTP API's access log; empty if it has none."""
    return str(_api(template).get("AccessLogSettings", {}).get("Format", ""))


Limits = tuple[float, float]


def throttling(template: Template) -> tuple[Limits | None, dict[str, Limits]]:
    """The HTTP API's limits (requests a second, and burst): the default, and those of single routes by route key."""
    api = _api(template)
    routes = {key: found for key, settings in api.get("RouteSettings", {}).items() if (found := _limits(settings))}
    return _limits(api.get("DefaultRouteSettings", {})), routes


def _limits(settings: Mapping[str, Any]) -> Limits | None:
    rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    return (float(rate), float(burst)) if rate and burst else None


def _api(template: Template) -> dict[str, Any]:
    """The properties of the AWS::Serverless::HttpApi resource; empty if there is none."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::HttpApi":
            return dict(resource.get("Properties", {}))
    return {}


def package(template: Template, root: Path, bucket: str) -> dict[str, bytes]:
    """Points the code of `template` at `bucket`, as `sam package` does. Returns the archives by their keys in S3.

    A layer's archive holds only its own package: the packages of its requirements.txt are installed on this machine.
    """
    archives = {}
    for resource in template["Resources"].values():
        if resource["Type"] in CODE:
            name, folder = CODE[resource["Type"]]
            properties = resource["Properties"]
            archive = _archive(root / properties[name], folder)
            key = hashlib.sha256(archive).hexdigest()
            archives[key] = archive
            properties[name] = {"Bucket": bucket, "Key": key}
    return archives


def code_files(template: Template, root: Path) -> Iterator[Path]:
    """Every code file that a deployment reads."""
    for resource in template["Resources"].values():
        if resource["Type"] in CODE:
            yield from _files(root / resource["Properties"][CODE[resource["Type"]][0]])


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise TemplateError(f"There is no folder {directory}.")
    return sorted(p for p in directory.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _archive(directory: Path, folder: str) -> bytes:
    """A zip archive without modification times: the same files give the same bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(directory):
            name = folder + path.relative_to(directory).as_posix()
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return content.getvalue()
