//! Macros for the parts of generated code that are the same for every type.

/// The traits of an open enum `struct Name(pub i32)` with `VALUES` and `name()`. Aliases follow: names of a value that has
/// another name already.
#[macro_export]
#[doc(hidden)]
macro_rules! open_enum {
    ($name:ident, $written:literal $(, $alias:literal => $value:ident)* $(,)?) => {
        /// `State::OPEN`, or `State(7)` for a number without a name.
        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self.name() {
                    ::core::option::Option::Some(name) => {
                        ::core::write!(f, "{}::{name}", ::core::stringify!($name))
                    }
                    ::core::option::Option::None => {
                        ::core::write!(f, "{}({})", ::core::stringify!($name), self.0)
                    }
                }
            }
        }

        /// The name of the value, or its number.
        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self.name() {
                    ::core::option::Option::Some(name) => f.pad(name),
                    ::core::option::Option::None => ::core::fmt::Display::fmt(&self.0, f),
                }
            }
        }

        /// From the name of a value, or from any number.
        impl ::core::str::FromStr for $name {
            type Err = $crate::UnknownEnumValue;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                match text {
                    $($alias => return ::core::result::Result::Ok(Self::$value),)*
                    _ => {}
                }
                let named = Self::VALUES.iter().copied().find(|value| {
                    ::core::matches!(value.name(), ::core::option::Option::Some(name) if name == text)
                });
                match named {
                    ::core::option::Option::Some(value) => ::core::result::Result::Ok(value),
                    ::core::option::Option::None => {
                        $crate::UnknownEnumValue::number($written, text).map(Self)
                    }
                }
            }
        }

        impl ::core::convert::From<i32> for $name {
            fn from(number: i32) -> Self {
                Self(number)
            }
        }

        impl ::core::convert::From<$name> for i32 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl $crate::protocol::Value for $name {
            const TTYPE: $crate::protocol::TType = $crate::protocol::TType::I32;

            #[inline]
            fn write<O: $crate::protocol::OutputProtocol>(
                &self,
                output: &mut O,
            ) -> $crate::protocol::EncodeResult {
                output.i32(self.0);
                ::core::result::Result::Ok(())
            }

            #[inline]
            fn read<I: $crate::protocol::InputProtocol>(
                input: &mut I,
            ) -> $crate::protocol::DecodeResult<Self> {
                input.i32().map(Self)
            }
        }
    };
}

/// The traits of the error enum of a function. Its variants are the declared exceptions, each with its id and name, and
/// `Rpc`. `from` marks the exceptions that convert into the error.
#[macro_export]
#[doc(hidden)]
macro_rules! method_error {
    ($name:ident { $($id:literal => $variant:ident($text:literal $(,)?)),* $(,)? } $(from $source:ident($exception:ty $(,)?))* $(,)?) => {
        $(
            impl ::core::convert::From<$exception> for $name {
                fn from(exception: $exception) -> Self {
                    Self::$source(exception)
                }
            }
        )*

        impl ::core::convert::From<$crate::Error> for $name {
            fn from(error: $crate::Error) -> Self {
                Self::Rpc(error)
            }
        }

        impl ::core::convert::From<$crate::ApplicationException> for $name {
            fn from(exception: $crate::ApplicationException) -> Self {
                Self::Rpc(::core::convert::From::from(exception))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self {
                    $(Self::$variant(exception) => ::core::fmt::Display::fmt(exception, f),)*
                    Self::Rpc(error) => ::core::fmt::Display::fmt(error, f),
                }
            }
        }

        impl ::core::error::Error for $name {
            fn source(&self) -> ::core::option::Option<&(dyn ::core::error::Error + 'static)> {
                match self {
                    $(Self::$variant(exception) => ::core::error::Error::source(exception),)*
                    Self::Rpc(error) => ::core::error::Error::source(error),
                }
            }
        }

        impl $crate::MethodError for $name {
            fn undeclared(&self) -> ::core::option::Option<&$crate::Error> {
                match self {
                    Self::Rpc(error) => ::core::option::Option::Some(error),
                    $(Self::$variant(_) => ::core::option::Option::None,)*
                }
            }

            fn write_declared<O: $crate::protocol::OutputProtocol>(
                &self,
                output: &mut O,
            ) -> $crate::protocol::EncodeResult {
                match self {
                    $(Self::$variant(exception) => output.field($id, exception),)*
                    Self::Rpc(_) => ::core::result::Result::Ok(()),
                }
            }

            fn read_declared<I: $crate::protocol::InputProtocol>(
                input: &mut I,
                field: $crate::protocol::FieldHeader,
            ) -> $crate::protocol::DecodeResult<::core::option::Option<Self>> {
                match (field.id, field.ttype) {
                    $(($id, $crate::protocol::TType::Struct) => {
                        input.read_field($text).map(Self::$variant).map(::core::option::Option::Some)
                    })*
                    _ => ::core::result::Result::Ok(::core::option::Option::None),
                }
            }
        }
    };
}

/// The traits of `struct $server<H> { handler: Arc<H> }`, which has `dispatch` and serves `$service` with a handler.
#[macro_export]
#[doc(hidden)]
macro_rules! service_server {
    ($server:ident, $service:ident, $written:literal $(,)?) => {
        impl<__H> ::core::clone::Clone for $server<__H> {
            fn clone(&self) -> Self {
                // A function of the service may be called `clone`, and its trait is implemented for `Arc`, too.
                Self { handler: ::core::clone::Clone::clone(&self.handler) }
            }
        }

        impl<__H> ::core::fmt::Debug for $server<__H> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(::core::stringify!($server))
            }
        }

        impl<__H: $service> $crate::Service for $server<__H> {
            fn name(&self) -> &'static str {
                $written
            }

            fn call(&self, request: $crate::Request) -> $crate::ReplyFuture {
                let handler = ::core::clone::Clone::clone(&self.handler);
                ::std::boxed::Box::pin(async move { Self::dispatch(&handler, &request).await })
            }
        }
    };
}
