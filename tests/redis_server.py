"""A real redis-server of a test's own: free loopback port, nothing kept, gone with the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django_q.conf import Conf

BINARY = shutil.which("redis-server")

needs_redis = pytest.mark.skipif(BINARY is None, reason="no redis-server here: install it")


class RedisServer:
    """``redis-server`` on one port, as often as it is started."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/3"
        self._folder = folder

    def start(self) -> None:
        """Returns once it answers."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder)}
        options |= {"save": "", "appendonly": "no"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen([str(BINARY), *words], stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None, "redis-server ended"
            assert time.monotonic() < give_up, "redis-server does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL; nothing of the queue is left."""
        self.process.kill()
        self.process.wait(10)

    def forget(self) -> None:
        """FLUSHALL."""
        with redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.from_url(self.url, retry=None) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that runs."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_queue(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """This process queues there, as ``Q_BROKER_URL`` has it."""
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "BROKER_CLASS", "gridtoken.broker.RedisBroker")
    monkeypatch.setattr(Conf, "REDIS", redis_server.url)
    return redis_server
