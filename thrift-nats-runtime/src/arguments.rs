//! The arguments of functions: a struct on the wire, a tuple in generated code.

use crate::protocol::{DecodeError, EncodeError, InputProtocol, OutputProtocol, TType, Value};

/// Arguments that are to be sent: a tuple of ids and values.
pub trait Arguments {
    /// Writes them as the fields of a struct.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;
}

/// A parameter of a function that is called: its id and name, and its default where the IDL has one.
pub trait Parameter<T> {
    /// The id of its field.
    fn id(&self) -> i16;

    /// Its name in the IDL.
    fn name(&self) -> &'static str;

    /// What it is if the caller leaves it out.
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

/// All parameters of a function: a tuple of [`Parameter`]s, which reads a tuple of values.
pub trait Parameters<T> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn read<I: InputProtocol>(self, input: &mut I) -> Result<T, DecodeError>;
}

impl Arguments for () {
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.struct_begin()?;
        output.struct_end();
        Ok(())
    }
}

impl Parameters<()> for () {
    fn read<I: InputProtocol>(self, input: &mut I) -> Result<(), DecodeError> {
        input.skip(TType::Struct)
    }
}

/// For tuples of each size. What IDL has functions with more arguments is generated with a struct for them.
macro_rules! tuples {
    ($($index:tt $value:ident $parameter:ident)*) => {
        impl<$($value: Value),*> Arguments for ($((i16, $value),)*) {
            fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
                output.struct_begin()?;
                $(output.field(self.$index.0, &self.$index.1)?;)*
                output.struct_end();
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

/// A struct of arguments, where there are more than a tuple can have.
#[derive(Debug)]
pub struct Many<T>(pub T);

impl<T: Value> Arguments for Many<T> {
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        self.0.write(output)
    }
}

/// Reads a struct of arguments.
#[derive(Clone, Copy, Debug)]
pub struct ManyParameters;

impl<T: Value> Parameters<T> for ManyParameters {
    fn read<I: InputProtocol>(self, input: &mut I) -> Result<T, DecodeError> {
        T::read(input)
    }
}
