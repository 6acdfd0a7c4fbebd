"""Images, Compose and locks, as far as they can be judged where no container engine runs."""

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.checkout import TOP, imports_of
from helpers.redis_server import RedisServer, redis_binary
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.exceptions import NoPermissionError

from finops_api.changes import Changes, Deployment
from finops_api.errors import TooManyRequests
from finops_api.limiting import Limits
from finops_api.redis import Redis, greet
from finops_api.shared_answers import SharedAnswers
from finops_warehouse.settings import Settings, setting_names

LOCKS = ("requirements.txt", "deploy/requirements-api.txt", "deploy/requirements-pipeline.txt")
ROLES = {"deploy/requirements-api.txt": ("api",), "deploy/requirements-pipeline.txt": ("pipeline", "webserver")}

COMPOSE: dict[str, Any] = yaml.safe_load((TOP / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENDS = ("migrate",)
"""Services that do their work and end."""
README_OF_SECRETS = (TOP / "secrets/README.md").read_text(encoding="utf-8")
DOCKERFILE = (TOP / "deploy/Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


def tool(name: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name(name)), *arguments],
        cwd=TOP, capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def pins(lock: str) -> dict[str, list[tuple[str, str]]]:
    """What a lock file pins: for each name its versions (some are for one Python only), each with its entry's rest."""
    lines = (TOP / lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        pinned = re.match(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>\S+)(?P<rest>.*)", entry)
        assert pinned, f"{lock}: {entry[:80]!r} is not a pin"
        found.setdefault(normalised(pinned["name"]), []).append((pinned["version"], pinned["rest"]))
    return found


def versions(lock: str) -> dict[str, set[str]]:
    """The versions a lock file pins of each name."""
    return {name: {version for version, _ in pinned} for name, pinned in pins(lock).items()}


# -- images


def test_the_dockerfile_is_clean() -> None:
    """By hadolint's rules, warnings included."""
    ran = tool("hadolint", "deploy/Dockerfile")

    assert ran.returncode == 0, ran.stdout


def stage(name: str) -> str:
    """The instructions of a stage of the Dockerfile."""
    [found] = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("target", ["api", "pipeline"])
def test_an_image_is_no_root_and_knows_its_health(target: str) -> None:
    """Whoever breaks out of the process is nobody."""
    assert "USER 10001:10001" in stage(target)
    assert "HEALTHCHECK" in stage(target)


def test_what_the_dockerfile_copies_is_in_the_build_context() -> None:
    """.dockerignore leaves everything out that it does not name."""
    let_in = [line[1:] for line in (TOP / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for instruction in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in instruction.split()[:-1]
    ]

    for source in copied:
        assert (TOP / source).exists(), source
        assert any(Path(source).match(pattern) or source.startswith(f"{pattern}/") for pattern in let_in), source


def test_the_image_builds_from_every_room_and_the_dashboard() -> None:
    """A room that is not copied is an image that does not start."""
    rooms = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]

    for room in rooms:
        assert f"COPY {room} {room}\n" in stage("wheel")
    assert "COPY --from=web /src/dashboard/dist finops_api/web" in stage("wheel")


# -- Compose


def test_compose_keeps_to_its_schema() -> None:
    """A misspelt key would be ignored by some versions and refused by others."""
    ran = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_nothing_that_is_not_there(name: str) -> None:
    """The schema does not look whether a name leads anywhere."""
    service = SERVICES[name]

    for other, condition in service.get("depends_on", {}).items():
        assert other in SERVICES
        expected = "service_completed_successfully" if other in ENDS else "service_healthy"
        assert condition["condition"] == expected, (name, other)
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
    if "build" in service:
        assert (TOP / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert stage(service["build"]["target"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_locked_down(name: str) -> None:
    """It is nobody, writes nowhere but where it must, gains no rights, and is reached from this machine only."""
    service = SERVICES[name]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ENDS])
def test_a_service_that_runs_on_tells_its_health(name: str) -> None:
    """Others wait for it, and an operator sees it."""
    healthcheck = SERVICES[name]["healthcheck"]

    assert healthcheck["test"][0] == "CMD"
    assert not healthcheck.get("disable")
    assert {"interval", "timeout"} <= set(healthcheck)


def test_the_database_is_not_reachable_from_outside() -> None:
    """Its network has no way out and no way in."""
    for name in ("postgres", "redis"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_nothing_waits_for_redis() -> None:
    """It is there for whoever runs several processes of the API, and only when they ask for it."""
    assert SERVICES["redis"]["profiles"] == ["redis"]
    assert not [name for name, service in SERVICES.items() if "redis" in service.get("depends_on", {})]


def test_redis_is_ours_alone_and_keeps_nothing(tmp_path: Path) -> None:
    """As Compose starts it, with secrets made as secrets/README.md says: the API can use it, and nobody else."""
    [making] = re.findall(r"```console\n(password=(?:(?!```).)*redis_users\n)```", README_OF_SECRETS, re.DOTALL)
    (tmp_path / "secrets").mkdir()
    subprocess.run(["bash", "-euc", making], cwd=tmp_path, check=True)
    command = [
        part.replace("/run/secrets/redis_users", str(tmp_path / "secrets/redis_users"))
        for part in SERVICES["redis"]["command"]
    ]
    assert command.pop(0) == "redis-server"
    with RedisServer(tmp_path, *command) as redis:
        given = (tmp_path / "secrets/redis_url").read_text().replace("@redis:6379", f"@127.0.0.1:{redis.port}")

        told = greet(SecretStr(given))
        used = asyncio.run(as_the_api_does(given))
        with redis.client() as stranger, redis.client(given) as ours:
            assert stranger.ping()
            for asked in ("GET finops:answers:a", "SET finops:a b", "CONFIG GET *", "KEYS *", "FLUSHALL", "INFO"):
                with pytest.raises(NoPermissionError):
                    stranger.execute_command(*asked.split())
            for asked in ("SET other b", "CONFIG GET *", "KEYS *", "FLUSHALL", "SHUTDOWN", "INFO"):
                with pytest.raises(NoPermissionError):
                    ours.execute_command(*asked.split())

    assert told.startswith("answers in")
    assert used == (b"answer", [True, True, False])
    assert not list(tmp_path.glob("*.rdb"))


async def as_the_api_does(url: str) -> tuple[bytes | None, list[bool]]:
    """An answer put and found, and three requests counted of which two are allowed."""
    registry = CollectorRegistry()
    changes = Changes("")
    changes.deployment = Deployment(b"k" * 32, "1")
    redis = Redis(SecretStr(url), registry)
    settings = Settings.model_validate({"rate_limit_queries_per_minute": 2})
    answers, limits = SharedAnswers(redis, changes, settings, registry), Limits(settings, changes, redis)
    allowed = []
    async with redis.opened():
        await answers.put("v", ("question",), b"answer")
        found = await answers.get("v", ("question",))
        for _ in range(3):
            try:
                await limits.count("query", "key 1")
                allowed.append(True)
            except TooManyRequests:
                allowed.append(False)
        # Had Redis refused any of it, this process would have counted for itself.
        assert registry.get_sample_value("finops_redis_asked_total", {"purpose": "limits", "outcome": "failed"}) == 0
    return found, allowed


def test_secrets_are_files_and_none_is_in_the_environment() -> None:
    """`docker inspect` shows the environment to everybody who may run it."""
    secret_settings = {
        "DATABASE_URL", "DAGSTER_DATABASE_URL", "API_TOKEN", "API_KEY_PEPPER", "ALERT_WEBHOOK_URL", "POSTGRES_PASSWORD",
        "OIDC_CLIENT_SECRET", "REDIS_URL",
    }  # fmt: skip

    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        assert f"`{name}`" in README_OF_SECRETS
    for service in SERVICES.values():
        assert not secret_settings & set(service.get("environment", {}))


def test_a_secret_named_like_a_setting_is_that_setting() -> None:
    """Every file in /run/secrets that is called like a setting is read as its value, a key file must not be."""
    named_like_settings = {name for name in COMPOSE["secrets"] if name.upper() in setting_names()}

    assert named_like_settings == {"database_url", "api_token", "api_key_pepper", "redis_url"}


def test_services_are_given_settings_that_exist() -> None:
    """A misspelt one would be silently ignored in a container."""
    for name in ("migrate", "code", "daemon", "webserver", "api"):
        assert set(SERVICES[name].get("environment", {})) <= set(setting_names())


def test_the_workspace_leads_to_the_code_server() -> None:
    """The daemon and the webserver look for the port the image listens on."""
    workspace = yaml.safe_load((TOP / "deploy/workspace.yaml").read_text(encoding="utf-8"))
    [location] = [entry["grpc_server"] for entry in workspace["load_from"]]

    assert location["host"] in SERVICES
    assert f'"--port", "{location["port"]}"' in stage("pipeline")
    assert f'"--location-name", "{location["location_name"]}"' in stage("pipeline")


# -- locks


@pytest.mark.parametrize("lock", [*LOCKS, "deploy/requirements-build.txt"])
def test_every_pin_has_its_hashes_and_no_lock_names_an_index(lock: str) -> None:
    """What is installed is what was tested, from whichever index a machine is set to use."""
    assert all("--hash=sha256:" in rest for pinned in pins(lock).values() for _, rest in pinned)
    text = (TOP / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|index-url|find-links|trusted-host", text)


def test_requirements_pin_all_that_the_project_names() -> None:
    """In every extra, and what builds it."""
    named = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    named += [entry for extra in PROJECT["project"]["optional-dependencies"].values() for entry in extra]

    assert {normalised(entry) for entry in named} <= set(pins("requirements.txt"))
    assert {normalised(entry) for entry in PROJECT["build-system"]["requires"]} <= set(
        pins("deploy/requirements-build.txt")
    )


@pytest.mark.parametrize("lock", ROLES)
def test_an_image_pins_what_its_role_names_as_the_tests_do(lock: str) -> None:
    """An image with another version than the one that was tested has not been tested."""
    extras = PROJECT["project"]["optional-dependencies"]
    named = [*PROJECT["project"]["dependencies"], *(entry for role in ROLES[lock] for entry in extras[role])]
    tested = versions("requirements.txt")

    assert {normalised(entry) for entry in named} <= set(pins(lock))
    assert {name: pinned for name, pinned in versions(lock).items() if not pinned <= tested[name]} == {}


def test_the_api_image_has_no_dagster() -> None:
    """It is half the size, and has half as much to keep safe."""
    assert not [name for name in pins("deploy/requirements-api.txt") if "dagster" in name]


@pytest.mark.parametrize(
    ("lock", "rooms"),
    [
        ("deploy/requirements-api.txt", ("finops_api", "finops_cli", "finops_warehouse")),
        ("deploy/requirements-pipeline.txt", ("finops_pipeline", "finops_insights", "finops_cli", "finops_warehouse")),
    ],
)
def test_an_image_holds_all_that_its_rooms_import(lock: str, rooms: tuple[str, ...]) -> None:
    """On a developer's machine every extra is there, so nothing else would notice."""
    distributions = packages_distributions()
    # Containers have a PostgreSQL to go to and need none of their own.
    imported = [
        (where, name)
        for room in rooms
        for where, name in imports_of(room)
        if not where.startswith("finops_warehouse/embedded.py")
    ]
    third_party = {
        (where, name)
        for where, name in imported
        if name not in sys.stdlib_module_names and not name.startswith(("finops_", "dbt_like_sql"))
    }
    only_windows = "sys_platform == 'win32'"
    pinned = {name for name, found in pins(lock).items() if any(only_windows not in rest for _, rest in found)}

    missing = {
        f"{where}: {name}"
        for where, name in third_party
        if not {normalised(distribution) for distribution in distributions[name]} & pinned
    }
    assert missing == set()


# -- .env.example and .ci


def test_the_example_names_every_setting_and_each_example_is_valid(tmp_path: Path) -> None:
    """Copied and uncommented as a whole it starts."""
    examples = re.findall(r"^# ([A-Z_]+=.+)$", (TOP / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    env_file = tmp_path / ".env"
    env_file.write_text("\n".join(examples))

    assert sorted(example.split("=")[0] for example in examples) == sorted(setting_names())
    assert Settings(_env_file=env_file).billing_export_url


def test_ci_runs_lint_and_tests_and_stops_at_the_first_failure() -> None:
    """A part that is missing fails; nothing is skipped."""
    text = (TOP / ".ci/run").read_text(encoding="utf-8")

    assert os.access(TOP / ".ci/run", os.X_OK)
    assert "set -euo pipefail" in text
    assert {"make lint", "make test"} <= set(text.splitlines())


def a_browser(folder: Path, says: str) -> Path:
    browser = folder / "chromium"
    browser.write_text(f"#!/bin/sh\n{says}\n")
    browser.chmod(0o755)
    return browser


def find_browser(**env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOP / ".ci/browser"], env=os.environ | env, capture_output=True, text=True, check=False, cwd=TOP
    )


def test_the_browser_that_is_named_is_the_one_used(tmp_path: Path) -> None:
    """CHROMIUM wins, as long as it starts."""
    named = a_browser(tmp_path, 'echo "<p>it starts</p>"')

    assert find_browser(CHROMIUM=str(named)).stdout.strip() == str(named)


def test_a_named_browser_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    """Another one found in its stead would surprise whoever named it."""
    ran = find_browser(CHROMIUM=str(a_browser(tmp_path, "exit 127")))

    assert ran.returncode == 1
    assert "does not start" in ran.stderr


def a_redis(folder: Path, says: str) -> Path:
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\n{says}\n")
    server.chmod(0o755)
    return server


def find_redis(**env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOP / ".ci/redis"], env=os.environ | env, capture_output=True, text=True, check=False, cwd=TOP
    )


def test_the_redis_that_is_named_is_the_one_used(tmp_path: Path) -> None:
    """REDIS_SERVER wins, as long as it starts."""
    named = a_redis(tmp_path, f'exec "{redis_binary()}" "$@"')

    assert find_redis(REDIS_SERVER=str(named)).stdout.strip() == str(named)


def test_a_named_redis_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    """Whatever it says of its version."""
    ran = find_redis(REDIS_SERVER=str(a_redis(tmp_path, "echo v=9; exit 127")))

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "does not start" in ran.stderr
