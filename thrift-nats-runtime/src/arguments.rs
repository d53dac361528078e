//! The arguments of functions. On the wire they are a struct; generated clients write a tuple of references, and generated
//! servers read a tuple of values.

use crate::protocol::{DecodeError, EncodeError, InputProtocol, OutputProtocol, TType, Value, write_list};

/// One argument, as a client writes it: a [`Value`], or the borrowed form of one. That is `str` for a string of any type,
/// and a slice for a list.
pub trait Argument {
    /// Writes the argument as the field `id`.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write_field<O: OutputProtocol>(&self, output: &mut O, id: i16) -> Result<(), EncodeError>;
}

impl<T: Value> Argument for T {
    #[inline]
    fn write_field<O: OutputProtocol>(&self, output: &mut O, id: i16) -> Result<(), EncodeError> {
        Value::write_field(self, output, id)
    }
}

impl Argument for str {
    #[inline]
    fn write_field<O: OutputProtocol>(&self, output: &mut O, id: i16) -> Result<(), EncodeError> {
        output.field_begin(TType::String, id);
        output.string(self).map_err(|error| error.in_id(id))?;
        output.field_end();
        Ok(())
    }
}

impl<T: Value> Argument for [T] {
    fn write_field<O: OutputProtocol>(&self, output: &mut O, id: i16) -> Result<(), EncodeError> {
        output.field_begin(TType::List, id);
        write_list(self, output).map_err(|error| error.in_id(id))?;
        output.field_end();
        Ok(())
    }
}

/// The arguments of a call: a tuple of ids and references.
pub trait Arguments {
    /// Writes each argument as a field.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write_fields<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    /// Writes the arguments as a struct.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.struct_begin()?;
        self.write_fields(output)?;
        output.struct_end();
        Ok(())
    }
}

/// A parameter of a served function: its id and name, and its default if the IDL has one.
pub trait Parameter<T> {
    /// The id of its field.
    fn id(&self) -> i16;

    /// Its name in the IDL.
    fn name(&self) -> &'static str;

    /// The value for an argument that the client does not send.
    fn default(self) -> T;
}

impl<T: Value + Default> Parameter<T> for (i16, &'static str) {
    fn id(&self) -> i16 {
        self.0
    }

    fn name(&self) -> &'static str {
        self.1
    }

    fn default(self) -> T {
        T::default()
    }
}

impl<T: Value> Parameter<T> for (i16, &'static str, T) {
    fn id(&self) -> i16 {
        self.0
    }

    fn name(&self) -> &'static str {
        self.1
    }

    fn default(self) -> T {
        self.2
    }
}

/// The parameters of a function: a tuple of [`Parameter`]s, which reads a tuple of values.
pub trait Parameters<T> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn read<I: InputProtocol>(self, input: &mut I) -> Result<T, DecodeError>;
}

impl Arguments for () {
    fn write_fields<O: OutputProtocol>(&self, _output: &mut O) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl Parameters<()> for () {
    fn read<I: InputProtocol>(self, input: &mut I) -> Result<(), DecodeError> {
        input.skip(TType::Struct)
    }
}

/// For tuples of up to 12 arguments. Clients join tuples with [`Chain`] for more; servers read a generated struct with
/// [`StructOfArguments`].
macro_rules! tuples {
    ($($index:tt $value:ident $parameter:ident)*) => {
        impl<$($value: Argument + ?Sized),*> Arguments for ($((i16, &$value),)*) {
            fn write_fields<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
                $(self.$index.1.write_field(output, self.$index.0)?;)*
                Ok(())
            }
        }

        impl<$($value: Value, $parameter: Parameter<$value>),*> Parameters<($($value,)*)> for ($($parameter,)*) {
            fn read<I: InputProtocol>(self, input: &mut I) -> Result<($($value,)*), DecodeError> {
                let ids = ($((self.$index.id(), self.$index.name()),)*);
                let mut values = ($(self.$index.default(),)*);
                input.read_struct(|field| match field.id {
                    $(id if id == ids.$index.0 => field.read(ids.$index.1, &mut values.$index),)*
                    _ => field.skip(),
                })?;
                Ok(values)
            }
        }
    };
}

tuples!(0 A PA);
tuples!(0 A PA 1 B PB);
tuples!(0 A PA 1 B PB 2 C PC);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF 6 G PG);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF 6 G PG 7 H PH);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF 6 G PG 7 H PH 8 J PJ);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF 6 G PG 7 H PH 8 J PJ 9 K PK);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF 6 G PG 7 H PH 8 J PJ 9 K PK 10 L PL);
tuples!(0 A PA 1 B PB 2 C PC 3 D PD 4 E PE 5 F PF 6 G PG 7 H PH 8 J PJ 9 K PK 10 L PL 11 M PM);

/// Two lists of arguments, one after the other: for functions with more arguments than a tuple can have.
#[derive(Clone, Copy, Debug)]
pub struct Chain<A, B>(pub A, pub B);

impl<A: Arguments, B: Arguments> Arguments for Chain<A, B> {
    fn write_fields<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        self.0.write_fields(output)?;
        self.1.write_fields(output)
    }
}

/// Reads the arguments of a function with more of them than a tuple can have into a generated struct.
#[derive(Clone, Copy, Debug)]
pub struct StructOfArguments;

impl<T: Value> Parameters<T> for StructOfArguments {
    fn read<I: InputProtocol>(self, input: &mut I) -> Result<T, DecodeError> {
        T::read(input)
    }
}
