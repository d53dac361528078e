"""The types of idl/vectors.thrift for Apache's Python library, as its generator would describe them."""

from thrift.Thrift import TType

STRING = (TType.STRING, 'UTF8')
BINARY = (TType.STRING, 'BINARY')
BOOL, I8, I16, I32, I64 = ((t, None) for t in (TType.BOOL, TType.BYTE, TType.I16, TType.I32, TType.I64))
DOUBLE, UUID = (TType.DOUBLE, None), (TType.UUID, None)


def List(element):
    return TType.LIST, (*element, False)


def Set(element):
    return TType.SET, (*element, False)


def Map(key, value):
    return TType.MAP, (*key, *value, False)


def Struct(kind):
    return TType.STRUCT, [kind, None]


class Record:
    """A struct, union or exception. Fields that are None are absent."""

    fields = {}

    def __init__(self, **values):
        for _, name in self.fields.values():
            setattr(self, name, values.pop(name, None))
        assert not values, values

    @classmethod
    def define(cls, fields):
        """Takes {id: (name, type)}."""
        cls.fields = {number: (kind, name) for number, (name, kind) in fields.items()}
        cls.thrift_spec = [None] * (max(fields, default=-1) + 1)
        for number, (name, (ttype, args)) in fields.items():
            cls.thrift_spec[number] = (number, ttype, name, args, None)

    def write(self, protocol):
        # Not `writeStruct`, which would check each of 32,768 ids.
        protocol.writeStructBegin(type(self).__name__)
        for number, ((ttype, args), name) in self.fields.items():
            value = getattr(self, name)
            if value is not None:
                protocol.writeFieldBegin(name, ttype, number)
                protocol.writeFieldByTType(ttype, value, args)
                protocol.writeFieldEnd()
        protocol.writeFieldStop()
        protocol.writeStructEnd()

    def read(self, protocol):
        protocol.readStruct(self, self.thrift_spec)

    def key(self):
        return tuple(getattr(self, name) for _, name in self.fields.values())

    def __eq__(self, other):
        return type(self) is type(other) and self.key() == other.key()

    def __hash__(self):
        return hash(self.key())

    def __repr__(self):
        values = ((name, getattr(self, name)) for _, name in self.fields.values())
        return type(self).__name__ + repr({name: value for name, value in values if value is not None})


class Empty(Record):
    thrift_spec = []


class Point(Record):
    pass


class Choice(Record):
    pass


class Oops(Record):
    pass


class ApplicationException(Record):
    pass


class Answer(Record):
    pass


class Everything(Record):
    pass


Point.define({1: ('x', I32), 2: ('label', STRING)})
Choice.define({
    1: ('number', I32), 2: ('text', STRING), 3: ('point', Struct(Point)), 4: ('flags', List(BOOL)),
})
Oops.define({1: ('why', STRING), 2: ('code', I32)})
ApplicationException.define({1: ('message', STRING), 2: ('type', I32)})
Answer.define({0: ('success', I32), 1: ('oops', Struct(Oops))})
Everything.define({
    1: ('flag', BOOL), 2: ('tiny', I8), 3: ('small', I16), 4: ('medium', I32), 5: ('large', I64),
    6: ('real', DOUBLE), 7: ('text', STRING), 8: ('bytes', BINARY), 9: ('id', UUID), 10: ('colour', I32),
    11: ('point', Struct(Point)), 12: ('choice', Struct(Choice)), 13: ('empty', Struct(Empty)),
    14: ('again', Struct(Everything)), 15: ('other_flag', BOOL),
    20: ('bools', List(BOOL)), 21: ('tinies', List(I8)), 22: ('smalls', List(I16)), 23: ('mediums', List(I32)),
    24: ('larges', List(I64)), 25: ('reals', List(DOUBLE)), 26: ('texts', List(STRING)),
    27: ('blocks', List(BINARY)), 28: ('ids', List(UUID)), 29: ('points', List(Struct(Point))),
    30: ('lists', List(List(I32))), 31: ('maps', List(Map(STRING, I32))), 32: ('choices', List(Struct(Choice))),
    33: ('colours', List(I32)),
    40: ('bool_set', Set(BOOL)), 41: ('medium_set', Set(I32)), 42: ('text_set', Set(STRING)),
    43: ('real_set', Set(DOUBLE)), 44: ('id_set', Set(UUID)),
    50: ('by_text', Map(STRING, STRING)), 51: ('by_medium', Map(I32, I64)), 52: ('by_flag', Map(BOOL, I8)),
    53: ('by_real', Map(DOUBLE, I16)), 54: ('by_id', Map(UUID, BINARY)),
    55: ('by_large', Map(I64, List(Struct(Point)))), 56: ('by_point', Map(Struct(Point), I32)),
    57: ('by_tiny', Map(I8, Map(STRING, Set(I32)))), 58: ('by_colour', Map(I32, BOOL)),
    72: ('gap_14', I32), 87: ('gap_15', I32), 103: ('gap_16', I32), 120: ('gap_17', BOOL), 300: ('far', I32),
    32767: ('farthest', BOOL),
})
