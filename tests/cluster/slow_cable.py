"""A cable on which everything takes longer, for kernels that cannot delay packets themselves.

Run in the namespace of the switch: ``python slow_cable.py PORT SECONDS``. It unplugs the port from the bridge, plugs in
a device of its own, and carries frames between the two, each so many seconds later. Ended by SIGTERM, it puts the port
back. ``python slow_cable.py --finish-frames DEVICE``, run on the host, has it send only finished frames: the others
would be left for a network card to finish, and there is none.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress

_BRIDGE = "br0"
_LARGEST = 70_000
# From Linux' if_tun.h, if_ether.h, sockios.h and ethtool.h.
_TUNSETIFF, _TAP, _NO_HEADER = 0x400454CA, 0x0002, 0x1000
_ALL_FRAMES = 0x0003
_ETHTOOL = 0x8946
_CHECKSUMS, _SCATTER, _TCP_SEGMENTS, _SEGMENTS = 0x17, 0x19, 0x1F, 0x24


def finish_frames(device: str) -> None:
    """Switch off what a host leaves to its network card."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for what in (_TCP_SEGMENTS, _SEGMENTS, _SCATTER, _CHECKSUMS):
            value = ctypes.create_string_buffer(struct.pack("II", what, 0))
            try:
                fcntl.ioctl(control, _ETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)))
            except OSError:
                if what == _CHECKSUMS:
                    raise


def carry(port: str, seconds: float) -> None:
    """Until SIGTERM."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", f"t{port}".encode(), _TAP | _NO_HEADER))
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
    cable.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    _link(port, "nomaster")
    _link(port, "promisc", "on")
    cable.bind((port, _ALL_FRAMES))
    cable.setblocking(False)
    _link(f"t{port}", "txqueuelen", "10000")
    _link(f"t{port}", "master", _BRIDGE, "up")
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    print("ready", flush=True)
    late: deque[tuple[float, bool, bytes]] = deque()  # when it is due, whether it goes to the bridge, the frame
    while not ended:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else 0.5
        for end in select.select([cable, tap], [], [], wait)[0]:
            late += [(time.monotonic() + seconds, end is cable, frame) for frame in _frames(cable, tap, end)]
        while late and late[0][0] <= time.monotonic():
            _, to_bridge, frame = late.popleft()
            with suppress(OSError):  # a queue that is full loses frames, as on any network
                os.write(tap, frame) if to_bridge else cable.send(frame)
    _link(port, "promisc", "off")
    _link(port, "master", _BRIDGE)


def _frames(cable: socket.socket, tap: int, end: socket.socket | int) -> list[bytes]:
    """What has arrived at one end, some of it at a time."""
    frames: list[bytes] = []
    with suppress(BlockingIOError):
        while len(frames) < 256:
            if end is cable:
                frame, sender = cable.recvfrom(_LARGEST)
                if sender[2] != socket.PACKET_OUTGOING:  # what it sent itself
                    frames.append(frame)
            else:
                frames.append(os.read(tap, _LARGEST))
    return frames


def _link(*words: str) -> None:
    subprocess.run(["ip", "link", "set", *words], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--finish-frames":
        finish_frames(sys.argv[2])
    else:
        carry(sys.argv[1], float(sys.argv[2]))
