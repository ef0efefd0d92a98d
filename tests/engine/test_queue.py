"""The folder as queue: every message arrives whole, however many write and read at once."""

import threading
from collections.abc import Callable

from kombu import Connection, Queue

from engine.queue import GPU, REPAIR, Transport, make_app, wake
from tests.small_disk import SmallDisk

MESSAGES = 200


def test_a_quick_reader_never_takes_half_a_message(tmp_path):
    app = make_app("filesystem://", tmp_path)
    read: list[str] = []

    def write(number: int) -> None:
        for k in range(MESSAGES // 4):
            assert wake(app, REPAIR, f"{number}-{k}")

    with Connection(
        "filesystem://", transport=Transport, transport_options=app.conf.broker_transport_options
    ) as connection:
        queue = Queue(GPU, routing_key=GPU)(connection.default_channel)
        queue.declare()
        writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for writer in writers:
            writer.start()
        while True:
            finished = not any(writer.is_alive() for writer in writers)
            message = queue.get(no_ack=True)
            if message is not None:
                read.append(message.decode()[0][0])
            elif finished:
                break
        for writer in writers:
            writer.join()
    assert len(set(read)) == MESSAGES


def test_a_full_disk_takes_no_message_and_keeps_no_half_of_one(
    small_disk: Callable[[int], SmallDisk],
) -> None:
    disk = small_disk(1)
    app = make_app("filesystem://", disk.path)
    assert wake(app, REPAIR, "first")
    disk.fill()
    before = {path for path in disk.path.rglob("*") if path.is_file()}
    assert wake(app, REPAIR, "second") is False
    assert {path for path in disk.path.rglob("*") if path.is_file()} == before
    disk.make_room()
    assert wake(app, REPAIR, "second")
    assert len(list(disk.path.glob("messages/*.msg"))) == 2


def test_a_broker_that_is_down_is_a_value_not_an_error(tmp_path):
    app = make_app("redis://127.0.0.1:1/0", tmp_path)
    assert wake(app, REPAIR, "job") is False
