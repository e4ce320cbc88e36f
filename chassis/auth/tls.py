"""Certificates of gRPC ports and channels: mTLS with the three files of GRPC_TLS_*. Used by rpc_server and by channels."""

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from chassis.settings import ProgramSettings


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM bytes: this program's certificate chain and key, and the authorities that peers' certificates must come from."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    authorities: bytes

    def server_credentials(self) -> grpc.ServerCredentials:
        return grpc.ssl_server_credentials(
            [(self.private_key, self.certificate_chain)],
            root_certificates=self.authorities,
            require_client_auth=True,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authorities, self.private_key, self.certificate_chain)

    def client_context(self) -> ssl.SSLContext:
        """Return the TLS context of a client on asyncio's transports. Blocks: Python reads certificates from files only.

        Raises:
            ssl.SSLError: the certificates are invalid.
        """
        with TemporaryDirectory(prefix="samovar-tls-") as folder:
            authorities, chain, key = (Path(folder, name) for name in ("authorities.pem", "chain.pem", "key.pem"))
            # From a file OpenSSL reads what stands between the certificates too, whatever its encoding; as text it must be ASCII.
            authorities.write_bytes(self.authorities)
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(authorities))
            context.set_alpn_protocols(["h2"])
            chain.write_bytes(self.certificate_chain)
            key.touch(mode=0o600)
            key.write_bytes(self.private_key)
            context.load_cert_chain(chain, key)
        return context


async def read_tls(settings: ProgramSettings) -> Tls | None:
    """The program's certificates, or None where the settings name none.

    Raises:
        OSError: a file cannot be read.
    """
    if not settings.grpc_tls_cert_file:
        return None
    names = (settings.grpc_tls_cert_file, settings.grpc_tls_key_file, settings.grpc_tls_ca_file)
    chain, key, authorities = [await asyncio.to_thread(Path(name).read_bytes) for name in names]
    return Tls(chain, key, authorities)
