"""Google's token endpoints on loopback: what a key, another cloud's token or an impersonation is exchanged for.

A token says whose it is, `token of <account>`, so the log of a `BigQueryServer` tells under whom every call was made.
"""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


class TokenServer:
    """Used as a context manager. `exchanges` is what was asked, one line each."""

    def __init__(self) -> None:
        self.exchanges: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def impersonation_url(self, account: str) -> str:
        """Where tokens of `account` are asked for; `{}` leaves it open."""
        return f"{self.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"

    def service_account_key(self, path: Path, account: str) -> Path:
        """Write the key file of a service account."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _written(
            path,
            {
                "type": "service_account",
                "client_email": account,
                "private_key": pem.decode(),
                "private_key_id": "1",
                "token_uri": f"{self.url}/token",
            },
        )

    def workload_identity(self, path: Path, subject: Path, account: str) -> Path:
        """Write the configuration of a workload that has no key: the token in `subject` is exchanged for `account`."""
        return _written(
            path,
            {
                "type": "external_account",
                "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{self.url}/sts",
                "service_account_impersonation_url": self.impersonation_url(account),
                "credential_source": {"file": str(subject)},
            },
        )

    def _answer(self, path: str, body: str, authorization: str) -> dict[str, Any]:
        if path == "/token":
            claims = parse_qs(body)["assertion"][0].split(".")[1]
            account = json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"]
            self.exchanges.append(f"key of {account}")
            return {"access_token": f"token of {account}", "expires_in": 3600, "token_type": "Bearer"}
        if path == "/sts":
            subject = parse_qs(body)["subject_token"][0]
            self.exchanges.append(f"workload {subject}")
            issued = {"access_token": f"token of workload {subject}", "token_type": "Bearer", "expires_in": 3600}
            return issued | {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        account = unquote(path).rpartition("/")[2].removesuffix(":generateAccessToken")
        self.exchanges.append(f"{authorization.removeprefix('Bearer token of ')} acts as {account}")
        return {"accessToken": f"token of {account}", "expireTime": "2099-01-01T00:00:00Z"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                content = json.dumps(server._answer(self.path, body, self.headers.get("Authorization", ""))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
                """Stay quiet: `exchanges` is the log."""

        return Handler


def _written(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path
