"""What docker-compose.yml promises, held against the file as docker-compose understands it (`config`); services that other
files add to it are named behind it. With `--cluster` it is ops/cluster/docker-compose.yml."""

import re
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    system = yaml.safe_load(file)
is_cluster = "--cluster" in sys.argv[2:]
scripts = ["ops/docker/make-env.sh"] + (["ops/cluster/make-env.sh"] if is_cluster else [])
made = set()
for script in scripts:
    with open(script, encoding="utf-8") as file:
        made |= set(re.findall(r"^write_secret (\w+)", file.read(), re.MULTILINE))
WATCHERS = {"prometheus", "alertmanager", "grafana"}
if is_cluster:
    NAME, PUBLIC = "ops/cluster/docker-compose.yml", {"balancer": "8080"}
    NODES, ENGINES = ("node1", "node2"), ("clickhouse1", "clickhouse2")
    STORES = {"postgres1", "postgres2", "redis1", "redis2", "sentinel1", "sentinel2", "sentinel3", "keeper1", "keeper2", "keeper3"}
    expected = {"balancer", *NODES, *ENGINES, *STORES, *WATCHERS}
else:
    NAME, PUBLIC = "docker-compose.yml", {"api": "8080", "grafana": "3000"}
    NODES, ENGINES = ("api",), ("clickhouse",)
    expected = {"api", "postgres", "clickhouse", "redis", *WATCHERS} | set(sys.argv[2:])


def published(port):
    """A port as ADDRESS:PORT:PORT or PORT:PORT, in whichever of the two forms it was written."""
    if isinstance(port, dict):
        port = f"{port.get('host_ip', '')}:{port['published']}:{port['target']}".lstrip(":")
    return str(port).removesuffix("/tcp")


wrong = []
services = system["services"]
if set(services) != expected:
    wrong.append(f"services are {sorted(services)}, not {sorted(expected)}")

for name, service in services.items():

    def check(holds, problem):
        if not holds:
            wrong.append(f"{name}: {problem}")

    image = service.get("image", "")
    tag = image.rpartition(":")[2] if ":" in image else ""
    check(re.fullmatch(r"v?\d+\.\d+.*", tag), f"its image {image!r} is not pinned to a version")
    for key in ("healthcheck", "mem_limit", "cpus", "pids_limit", "stop_grace_period", "restart", "logging"):
        check(service.get(key), f"has no {key}")
    check("no-new-privileges:true" in service.get("security_opt", []), "may gain privileges")
    check(service.get("volumes"), "keeps nothing when it is made anew")
    for port in map(published, service.get("ports", [])):
        is_public = not port.startswith("127.0.0.1:")
        reachable = name in PUBLIC
        check(not is_public or reachable, f"is reachable from other machines: {port}")
    for variable, value in (service.get("environment") or {}).items():
        is_secret = re.search(r"PASSWORD|SECRET|TOKEN|(POSTGRES|CLICKHOUSE|REDIS|MQTT)_URL", variable)
        check(not is_secret or variable.endswith("_FILE"), f"has a secret in its environment: {variable}")
        if variable.endswith("_FILE"):
            secret = str(value).removeprefix("/run/secrets/")
            given = {entry if isinstance(entry, str) else entry["source"] for entry in service.get("secrets", [])}
            check(secret in given, f"reads {value}, and is not given it")

for name in system["secrets"]:
    if name not in made:
        wrong.append(f"{' and '.join(scripts)} make no secret {name}")
if any("26.7" not in services[engine]["image"] for engine in ENGINES):
    wrong.append("ClickHouse is not the version that the tests run against")
for service, port in PUBLIC.items():
    if not any(published(entry).endswith(f"{port}:{port}") for entry in services[service]["ports"]):
        wrong.append(f"{service} is not on {port}")
for node in NODES:
    if not services[node].get("read_only"):
        wrong.append(f"{node}: its file system can be written")

for problem in wrong:
    print(f"{NAME}: {problem}", file=sys.stderr)
sys.exit(bool(wrong))
