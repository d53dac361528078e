#!/usr/bin/env python3
"""Exchanges values of the type `Everything` with the test `apache`.

`peer.py make SEED COUNT` prints COUNT random values, each in every protocol: a line with the protocol and the bytes in hex.
`peer.py echo` reads such lines, decodes each value, and prints it encoded in the same protocol.
"""

import math
import random
import struct
import sys
from uuid import UUID

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

from spec import Choice, Everything, Record

PROTOCOLS = {'binary': TBinaryProtocol, 'compact': TCompactProtocol, 'json': TJSONProtocol}

BITS = {TType.BYTE: 8, TType.I16: 16, TType.I32: 32, TType.I64: 64}


def encode(protocol, value):
    buffer = TMemoryBuffer()
    value.write(PROTOCOLS[protocol](buffer))
    return buffer.getvalue().hex()


def decode(protocol, text):
    buffer = TMemoryBuffer(bytes.fromhex(text))
    value = Everything()
    value.read(PROTOCOLS[protocol](buffer))
    assert not buffer.read(1), 'bytes are left over'
    return value


def integer(rng, bits):
    edge = 1 << (bits - 1)
    if rng.random() < 0.2:
        return rng.choice([0, 1, -1, edge - 1, -edge])
    # With a uniform number of bits, because uniform numbers are mostly long.
    return rng.getrandbits(rng.randrange(bits)) * rng.choice([1, -1])


def double(rng):
    if rng.random() < 0.2:
        return rng.choice([0.0, -0.0, 1.0, 0.1, math.inf, -math.inf, math.nan, 5e-324, sys.float_info.max])
    value, = struct.unpack('<d', rng.getrandbits(64).to_bytes(8, 'little'))
    return math.nan if math.isnan(value) else value


def text(rng):
    alphabet = 'abc XYZ"\\/\x00\x01\x1f\n\t\x7féß☃日\u2028𝄞😀'
    return ''.join(rng.choice(alphabet) for _ in range(rng.choice([0, 1, 5, 14, 15, 40, 200])))


def single(rng, kind, depth):
    ttype, args = kind[0], kind[1]
    if ttype == TType.BOOL:
        return rng.random() < 0.5
    if ttype in BITS:
        return integer(rng, BITS[ttype])
    if ttype == TType.DOUBLE:
        return double(rng)
    if ttype == TType.STRING:
        return rng.randbytes(rng.choice([0, 1, 2, 3, 70])) if args == 'BINARY' else text(rng)
    if ttype == TType.UUID:
        return UUID(bytes=rng.randbytes(16))
    if ttype == TType.STRUCT:
        return record(rng, args[0], depth + 1)
    count = rng.choice([0, 1, 2, 14, 15, 16, 40]) if depth < 2 else rng.randrange(3)
    if ttype == TType.LIST:
        return [single(rng, args[:2], depth + 1) for _ in range(count)]
    # Sets and maps are in the order of a B-tree.
    if ttype == TType.SET:
        return ordered({single(rng, args[:2], depth + 1) for _ in range(count)})
    keys = ordered({single(rng, args[:2], depth + 1) for _ in range(count)})
    return {key: single(rng, args[2:4], depth + 1) for key in keys}


def order(value):
    if isinstance(value, Record):
        return tuple(order(part) for part in value.key())
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, UUID):
        return value.bytes
    # There is one NaN, greater than all other values.
    return (1, 0.0) if value != value else (0, value)


def ordered(values):
    values = sorted(values, key=order)
    return [value for at, value in enumerate(values) if at == 0 or order(value) != order(values[at - 1])]


def record(rng, kind, depth):
    fields = list(kind.fields.values())
    if kind is Choice:
        fields = [rng.choice(fields)]
    elif kind is Everything:
        share = 0.35 if depth == 0 else 0.1
        fields = [field for field in fields if rng.random() < share and not (depth > 4 and field[1] == 'again')]
    return kind(**{name: single(rng, shape, depth) for shape, name in fields})


def main():
    # One flush at the end, because there are thousands of lines.
    if sys.argv[1] == 'make':
        rng = random.Random(int(sys.argv[2]))
        for _ in range(int(sys.argv[3])):
            value = record(rng, Everything, 0)
            for protocol in PROTOCOLS:
                print(protocol, encode(protocol, value))
    else:
        for line in sys.stdin:
            protocol, value = line.rstrip('\n').split(' ')
            print(protocol, encode(protocol, decode(protocol, value)))


main()
