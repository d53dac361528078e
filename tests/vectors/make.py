#!/usr/bin/env python3
"""Prints the vectors as Apache's Python library encodes them: name, format, bytes in hex.

It needs the package `thrift` of the release that tests/src/apache_python.rs names. The test `apache` runs it and
compares the output with tests/vectors/apache.txt, or updates that file with BLESS=1.
"""

import math
import sys
from uuid import UUID

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.protocol.THeaderProtocol import THeaderProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TMessageType
from thrift.transport.THeaderTransport import (
    THeaderClientType, THeaderSubprotocolID, THeaderTransformID, THeaderTransport)
from thrift.transport.TTransport import TFramedTransport, TMemoryBuffer

from spec import Answer, ApplicationException, Choice, Empty, Everything, Oops, Point

PROTOCOLS = {'binary': TBinaryProtocol, 'compact': TCompactProtocol, 'json': TJSONProtocol}

UUID_1 = UUID('00112233-4455-6677-8899-aabbccddeeff')
UUID_2 = UUID('ffeeddcc-bbaa-9988-7766-554433221100')

# Sets are lists here, to be encoded in order.
VALUES = {
    'nothing': {},
    'bool-true': {'flag': True},
    'bool-false': {'flag': False},
    'bools-beside-others': {'flag': False, 'tiny': 1, 'other_flag': True},
    'i8-zero': {'tiny': 0},
    'i8-max': {'tiny': 127},
    'i8-min': {'tiny': -128},
    'i16-minus-one': {'small': -1},
    'i16-max': {'small': 32767},
    'i16-min': {'small': -32768},
    'i32-zero': {'medium': 0},
    'i32-one': {'medium': 1},
    'i32-minus-one': {'medium': -1},
    'i32-64': {'medium': 64},
    'i32-max': {'medium': 2147483647},
    'i32-min': {'medium': -2147483648},
    'i64-two-to-40': {'large': 1 << 40},
    'i64-max': {'large': 9223372036854775807},
    'i64-min': {'large': -9223372036854775808},
    'double-zero': {'real': 0.0},
    'double-minus-zero': {'real': -0.0},
    'double-one': {'real': 1.0},
    'double-third': {'real': 1 / 3},
    'double-tenth': {'real': 0.1},
    'double-large': {'real': 1e300},
    'double-whole': {'real': 123456789012345680.0},
    'double-least': {'real': 5e-324},
    'double-max': {'real': sys.float_info.max},
    'double-small': {'real': -1.25e-7},
    'double-nan': {'real': math.nan},
    'double-infinity': {'real': math.inf},
    'double-minus-infinity': {'real': -math.inf},
    'string-empty': {'text': ''},
    'string-ascii': {'text': 'hello'},
    'string-unicode': {'text': 'é☃𝄞\u00a0'},
    'string-quoted': {'text': 'a"b\\c/d'},
    'string-control': {'text': '\x00\x01\x08\x09\x0a\x0b\x0c\x0d\x1f\x7f'},
    'string-127': {'text': 'x' * 127},
    'string-128': {'text': 'y' * 128},
    'binary-empty': {'bytes': b''},
    'binary-one': {'bytes': b'\x00'},
    'binary-two': {'bytes': b'\xff\xfe'},
    'binary-three': {'bytes': b'\xfb\xff\xbf'},
    'binary-all': {'bytes': bytes(range(256))},
    'uuid': {'id': UUID_1},
    'enum': {'colour': 5},
    'enum-negative': {'colour': -2},
    'enum-unknown': {'colour': 99},
    'struct': {'point': Point(x=-2, label='here')},
    'struct-empty': {'empty': Empty()},
    'struct-nested': {
        'flag': True,
        'again': Everything(tiny=3, again=Everything(other_flag=True), far=1),
        'other_flag': False,
    },
    'union-number': {'choice': Choice(number=7)},
    'union-text': {'choice': Choice(text='t')},
    'union-struct': {'choice': Choice(point=Point(x=1, label=''))},
    'union-list': {'choice': Choice(flags=[True, False])},
    'list-empty': {'bools': [], 'mediums': [], 'texts': [], 'points': [], 'lists': []},
    'list-bool': {'bools': [True, False, True]},
    'list-i8': {'tinies': [0, 1, -1, 127, -128]},
    'list-i16': {'smalls': [0, 300, -300]},
    'list-i32': {'mediums': [1, -1, 1 << 20]},
    'list-i32-14': {'mediums': list(range(14))},
    'list-i32-15': {'mediums': list(range(15))},
    'list-i32-200': {'mediums': list(range(200))},
    'list-i64': {'larges': [0, -(1 << 50)]},
    'list-double': {'reals': [0.5, -1.5]},
    'list-string': {'texts': ['', 'a', 'ü']},
    'list-binary': {'blocks': [b'', b'\x01\x02']},
    'list-uuid': {'ids': [UUID_1, UUID_2]},
    'list-struct': {'points': [Point(x=1, label='a'), Point(x=2, label='b')]},
    'list-list': {'lists': [[1], [], [2, 3]]},
    'list-map': {'maps': [{}, {'a': 1, 'b': 2}]},
    'list-union': {'choices': [Choice(number=1), Choice(text='x')]},
    'list-enum': {'colours': [1, -2]},
    'set-empty': {'medium_set': []},
    'set-bool': {'bool_set': [False, True]},
    'set-i32': {'medium_set': [-5, 0, 5]},
    'set-string': {'text_set': ['a', 'b']},
    'set-double': {'real_set': [-0.5, 2.0]},
    'set-uuid': {'id_set': [UUID_1, UUID_2]},
    'map-empty': {'by_text': {}, 'by_medium': {}},
    'map-string': {'by_text': {'': 'empty', 'k"ey': 'v'}},
    'map-i32': {'by_medium': {-1: 1 << 40, 7: -7}},
    'map-bool': {'by_flag': {False: 0, True: 1}},
    'map-double': {'by_real': {-1.5: 1, 2.0: 2}},
    'map-uuid': {'by_id': {UUID_1: b'\x00\x01'}},
    'map-of-lists': {'by_large': {-3: [], 3: [Point(x=1, label='p')]}},
    'map-struct-key': {'by_point': {Point(x=1, label='a'): 1, Point(x=2, label='b'): 2}},
    'map-of-maps': {'by_tiny': {1: {'x': [1, 2]}, 2: {}}},
    'map-enum': {'by_colour': {-2: True, 1: False}},
    'ids-14-15-16-17': {'by_colour': {}, 'gap_14': 1, 'gap_15': 2, 'gap_16': 3, 'gap_17': True},
    'id-120-alone': {'gap_17': False},
    'id-300': {'far': -1},
    'id-32767': {'farthest': True},
    'back-to-small-ids': {'again': Everything(farthest=True), 'other_flag': True},
}

# Name: function, kind, sequence number, body.
MESSAGES = {
    'message-call': ('add', TMessageType.CALL, 1, Point(x=1, label='a')),
    'message-call-no-arguments': ('ping', TMessageType.CALL, 0, Empty()),
    'message-call-multiplexed': ('calculator:add', TMessageType.CALL, 2, Point(x=1, label='a')),
    'message-call-unicode': ('größe', TMessageType.CALL, 300, Empty()),
    'message-reply': ('add', TMessageType.REPLY, 1, Answer(success=-42)),
    'message-reply-void': ('ping', TMessageType.REPLY, 2147483647, Answer()),
    'message-reply-exception': ('add', TMessageType.REPLY, -1, Answer(oops=Oops(why='no', code=3))),
    'message-exception': (
        'add', TMessageType.EXCEPTION, -2147483648, ApplicationException(message='what?', type=1)),
    'message-oneway': ('zip', TMessageType.ONEWAY, 65536, Empty()),
}


def message(protocol, name, kind, seqid, body):
    protocol.writeMessageBegin(name, kind, seqid)
    body.write(protocol)
    protocol.writeMessageEnd()
    protocol.trans.flush()


def show(name, form, buffer):
    print(name, form, buffer.getvalue().hex())


def headers(subprotocol):
    buffer = TMemoryBuffer()
    transport = THeaderTransport(buffer, [THeaderClientType.HEADERS], subprotocol)
    return buffer, THeaderProtocol(transport, [THeaderClientType.HEADERS], subprotocol)


def main():
    for name, fields in VALUES.items():
        for form, protocol in PROTOCOLS.items():
            buffer = TMemoryBuffer()
            Everything(**fields).write(protocol(buffer))
            show(name, form, buffer)
    for name, parts in MESSAGES.items():
        for form, protocol in PROTOCOLS.items():
            buffer = TMemoryBuffer()
            message(protocol(buffer), *parts)
            show(name, form, buffer)
            buffer = TMemoryBuffer()
            message(protocol(TFramedTransport(buffer)), *parts)
            show(name, 'framed-' + form, buffer)
        buffer = TMemoryBuffer()
        message(TBinaryProtocol(buffer, strictRead=False, strictWrite=False), *parts)
        show(name, 'old-binary', buffer)
        subprotocols = {'binary': THeaderSubprotocolID.BINARY, 'compact': THeaderSubprotocolID.COMPACT}
        for form, subprotocol in subprotocols.items():
            buffer, protocol = headers(subprotocol)
            protocol.trans.sequence_id = parts[2]
            message(protocol, *parts)
            show(name, 'header-' + form, buffer)
            buffer, protocol = headers(subprotocol)
            protocol.trans.sequence_id = parts[2]
            protocol.set_header(b'client_timeout', b'250')
            protocol.set_header(b'who', 'Zoë'.encode())
            message(protocol, *parts)
            show(name, 'headers-' + form, buffer)
            buffer, protocol = headers(subprotocol)
            protocol.trans.sequence_id = parts[2]
            protocol.add_transform(THeaderTransformID.ZLIB)
            message(protocol, *parts)
            show(name, 'zlib-' + form, buffer)


main()
