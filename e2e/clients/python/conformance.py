"""Calls every route of the API description of SENTINEL_URL with good and bad data, and checks that each answer is a
described one: status, content type, body, and never a server error. The data are the same in every run.

SENTINEL_PROGRAM and SENTINEL_DATA: the program and the server's folder of data, to make the caller an admin; without
them the routes of admins only refuse. SENTINEL_CONFORMANCE: cases of each route (default 6).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from platform_client import User, call

URL = os.environ["SENTINEL_URL"].rstrip("/")
CASES = os.environ.get("SENTINEL_CONFORMANCE", "6")
# Without a limit, it goes on finding cases for ever.
SECONDS = 50
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
]
# They end the caller's session: what came after them would only be refused.
ENDS_SESSION = ["/logout", "/admin/users/{id}/sessions"]


def caller():
    user = User("conform")
    program, data = os.environ.get("SENTINEL_PROGRAM"), os.environ.get("SENTINEL_DATA")
    if not (program and data):
        return user.token
    subprocess.run([program, "admin", "grant", user.username, "--data", data], check=True, timeout=60)
    answer = call("POST", "/login", json={"username": user.username, "password": user.password})
    answer.raise_for_status()
    return answer.json()["access_token"]


def run(token, phases, *arguments):
    command = [
        str(Path(sys.executable).parent / "st"), "run", f"{URL}/openapi.json",
        "--header", f"Authorization: Bearer {token}",
        "--checks", ",".join(CHECKS),
        "--phases", phases,
        "--max-examples", CASES, "--seed", "7", "--no-shrink", "--continue-on-failure",
        "--max-time", str(SECONDS), "--request-timeout", "30", "--rate-limit", "auto",
        "--suppress-health-check", "all", "--warnings", "off",
        *arguments,
    ]
    # It leaves its notes where it runs.
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder, timeout=SECONDS * 5, check=False).returncode


def main():
    token = caller()
    excluded = [part for path in ENDS_SESSION for part in ("--exclude-path", path)]
    failed = run(token, "examples,coverage,fuzzing", *excluded)
    included = [part for path in ENDS_SESSION for part in ("--include-path", path)]
    failed = run(User("conform").token, "coverage", *included) or failed
    sys.exit(failed)


if __name__ == "__main__":
    main()
