"""Simulated stations at a real broker: a crowd shares one connection, and one thread does its work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import DEADLINE_S, HOST
from tests.fleet.station import Station

WAIT_S = 0.005


class Crowd:
    """`start` returns when all have said what they are."""

    def __init__(self, port: int, stations: Sequence[Station]) -> None:
        self.stations = list(stations)
        self._port = port
        self._by_topic: dict[str, list[Station]] = {}
        for one in stations:
            for topic in one.subscriptions():
                self._by_topic.setdefault(topic, []).append(one)
        self._arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._subscribed = threading.Event()
        self._leaves = threading.Event()
        self._errors: list[BaseException] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.max_queued_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._thread = threading.Thread(target=self._work, name="crowd", daemon=True)

    def start(self) -> None:
        self._client.connect(HOST, self._port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S), "the subscriptions were not acknowledged"
        for one in self.stations:
            one.start()
        for said in self._say():
            said.wait_for_publish(DEADLINE_S)
        self._thread.start()

    def stop(self) -> None:
        self._leaves.set()
        self._thread.join(DEADLINE_S)
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        try:
            while not self._leaves.is_set():
                self._receive()
                for one in self.stations:
                    if one.is_online:
                        one.tick()
                self._say()
        except BaseException as error:
            self._errors.append(error)

    def _receive(self) -> None:
        wait: dict[str, Any] = {"timeout": WAIT_S}
        while True:
            try:
                topic, payload = self._arrived.get(**wait)
            except queue.Empty:
                return
            wait = {"block": False}
            for one in self._by_topic.get(topic, ()):
                one.receive(topic, payload)

    def _say(self) -> list[paho.MQTTMessageInfo]:
        said = []
        for one in self.stations:
            out, one.out = one.out, []
            said += [self._client.publish(topic, payload, qos=1, retain=True) for topic, payload in out]
        return said

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        topics = [(one, 1) for one in self._by_topic]
        for at in range(0, len(topics), 200):
            client.subscribe(topics[at : at + 200])

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._arrived.put((message.topic, bytes(message.payload)))
