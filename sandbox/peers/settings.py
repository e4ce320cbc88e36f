"""The settings of the sandbox, beside those of every program (chassis.settings)."""

from pathlib import Path

from pydantic import Field, SecretStr

from chassis.runtime.backends import EventSettings, ObjectSettings


class SandboxSettings(EventSettings, ObjectSettings):
    """Names in capitals are the environment's."""

    sandbox_grpc_port: int = Field(9096, ge=0, le=65535)
    sandbox_http_port: int = Field(9098, ge=0, le=65535)
    """Auth (JWKS, tokens), manifests, and the objects' origin. Both ports: 0 = any free one."""
    sandbox_state_dir: Path
    """Holds the private keys."""
    sandbox_client_secrets: dict[str, SecretStr] = Field(default_factory=dict)
    """JSON: secret by program, for the client credentials grant."""
    postgres_dsn: SecretStr
    cdn_link_secret_key: SecretStr
