"""The ids and addresses of what is published: stable, so that publishing again is the same product and version. Called by
sandbox.cli.
"""

from uuid import NAMESPACE_URL, UUID, uuid5


def product_id_of(product: str) -> UUID:
    """Return the product's id: given as a UUID, or derived from a slug (`panda3d`)."""
    try:
        return UUID(product)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"samovar:product:{product}")


def version_id_of(product_id: UUID, version_name: str, platform: str) -> UUID:
    """The version's id; `platform` is `windows`, `linux` or `macos`."""
    return uuid5(product_id, f"{version_name}/{platform}")


def achievement_id_of(product_id: UUID, name: str) -> UUID:
    """The id of a product's achievement of this name."""
    return uuid5(product_id, f"achievement:{name}")


def manifest_url(http_url: str, product_id: str, version_id: str) -> str:
    """Return the URL at which sandbox.peers.http_server offers a manifest; its signature lies at the same URL with
    `.sig`.
    """
    return f"{http_url}/manifests/{product_id}/{version_id}.manifest"
